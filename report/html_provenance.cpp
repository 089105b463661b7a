// Where the figures come from: everything that results.json knows of the runs.
#include <algorithm>

#include "core/printable.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/table_parts.h"
#include "report/text.h"

namespace gs::html {
namespace {

std::string listed(const std::map<std::string, std::string>& values) {
    std::string text;
    for (const auto& [name, value] : values) text += (text.empty() ? "" : "\n") + name + " " + value;
    return text;
}

std::string sizes_of_sets(const std::vector<SetInfo>& sets) {
    const auto text = [](const ImageSizes::Size& s) {
        return std::to_string(s.width) + "x" + std::to_string(s.height);
    };
    std::string lines;
    for (const SetInfo& s : sets)
        if (s.image_sizes)
            lines += (lines.empty() ? "" : "\n") + s.name + ": median " + text(s.image_sizes->median) + ", " +
                     text(s.image_sizes->smallest) + " to " + text(s.image_sizes->largest) + " in " +
                     grouped(s.image_sizes->images) + " images looked at";
    return lines;
}

struct Fact {
    const char* name;
    std::string (*value)(const RunReport&);
};

constexpr Fact kFacts[] = {
    {"folder", [](const RunReport& r) { return r.name; }},
    {"command", [](const RunReport& r) { return r.results.run.command; }},
    {"net", [](const RunReport& r) { return r.results.run.net + " (" + r.results.run.family + ")"; }},
    {"classes",
     [](const RunReport& r) {
         return r.results.run.classes ? grouped(*r.results.run.classes) : std::string();
     }},
    {"weights",
     [](const RunReport& r) {
         return r.results.run.weights_path + " (" + r.results.run.weights_format + ")";
     }},
    {"SHA-256 of the weights", [](const RunReport& r) { return r.results.run.weights_sha256; }},
    {"statistics files, SHA-256", [](const RunReport& r) { return listed(r.results.run.statistics); }},
    {"preprocessing", [](const RunReport& r) { return r.results.run.preprocess; }},
    {"device", [](const RunReport& r) { return r.results.run.device + ", " + r.results.run.precision; }},
    {"threads", [](const RunReport& r) { return std::to_string(r.results.run.threads); }},
    {"batch", [](const RunReport& r) { return batch_text(r.results.run); }},
    {"seed", [](const RunReport& r) { return std::to_string(r.results.run.seed); }},
    {"limit",
     [](const RunReport& r) {
         return r.results.run.limit ? grouped(*r.results.run.limit) + " images a set" : std::string("none");
     }},
    {"shard",
     [](const RunReport& r) {
         return r.results.run.shard ? to_string(*r.results.run.shard) : std::string();
     }},
    {"started", [](const RunReport& r) { return r.results.run.started; }},
    {"ended early", [](const RunReport& r) { return r.results.run.stopped; }},
    {"took",
     [](const RunReport& r) {
         return clock_time(r.results.run.wall_seconds) + " (" + fixed(r.results.run.wall_seconds, 2) + " s)";
     }},
    {"images a second", [](const RunReport& r) { return significant(r.results.run.images_per_second, 4); }},
    {"images, width x height", [](const RunReport& r) { return sizes_of_sets(r.results.sets); }},
    {"gradscore", [](const RunReport& r) { return r.results.run.gradscore_version; }},
    {"libraries", [](const RunReport& r) { return listed(r.results.run.libraries); }},
};

std::string escaped_lines(std::string_view text) {
    std::string out;
    for (size_t end = 0; end != text.npos; text.remove_prefix(end == text.npos ? 0 : end + 1)) {
        end = text.find('\n');
        out += (out.empty() ? "" : "<br>") + xml_escaped(text.substr(0, end), 20000);
    }
    return out;
}

std::string facts_table(const Page& page) {
    std::string head, rows;
    for (size_t r = 0; r < page.runs.size(); ++r)
        head += "<th scope=\"col\">Run " + std::to_string(r + 1) + "</th>";
    for (const Fact& fact : kFacts) {
        std::vector<std::string> values;
        for (const RunReport& run : page.runs) values.push_back(fact.value(run));
        if (std::all_of(values.begin(), values.end(), [](const std::string& v) { return v.empty(); }))
            continue;
        const bool differ = std::any_of(values.begin(), values.end(),
                                        [&](const std::string& v) { return v != values.front(); });
        rows += std::string("<tr") + (differ ? " class=\"differs\"" : "") + "><th scope=\"row\">" +
                fact.name + "</th>";
        for (size_t r = 0; r < values.size(); ++r)
            rows += "<td" + (page.several() ? svg::attributes({{"data-run", std::to_string(r + 1)}}) : "") +
                    ">" + escaped_lines(values[r]) + "</td>";
        rows += "</tr>\n";
    }
    return scrolling(
        "Facts of the runs",
        "<table class=\"facts\">\n" +
            (page.several() ? "<thead><tr><td></td>" + head + "</tr></thead>\n" : std::string()) +
            "<tbody>\n" + rows + "</tbody>\n</table>\n");
}

std::string sets_table(const RunReport& run) {
    std::string rows;
    for (const SetInfo& s : run.results.sets) {
        rows += "<tr><th scope=\"row\">" + xml_escaped(s.name) + "</th><td>" +
                (s.role == SetRole::Id ? "ID" : "OOD") + "</td><td><code>" + xml_escaped(s.description) +
                "</code></td>";
        for (const int64_t count : {s.total, s.scored, s.excluded})
            rows += "<td class=\"number\">" + grouped(count) + "</td>";
        rows += "<td class=\"number\">" + (s.accuracy ? percent(*s.accuracy) : std::string()) +
                "</td><td><code>" + xml_escaped(s.digest) + "</code></td></tr>\n";
    }
    return scrolling(
        "Sets",
        "<table>\n<caption>Sets of images</caption>\n<thead><tr><th scope=\"col\">set</th><th "
        "scope=\"col\">role</th><th scope=\"col\">source</th><th scope=\"col\" class=\"number\">images</th>"
        "<th scope=\"col\" class=\"number\">scored</th><th scope=\"col\" class=\"number\">excluded</th><th "
        "scope=\"col\" class=\"number\">accuracy, %</th><th scope=\"col\">digest</th></tr></thead>\n"
        "<tbody>\n" +
            rows + "</tbody>\n</table>\n");
}

std::string methods_table(const RunReport& run) {
    std::string rows;
    for (const MethodInfo& m : run.results.methods) {
        std::string options;
        for (const auto& [name, value] : m.options)
            options += (options.empty() ? "" : ", ") + name + " = " + value;
        rows += "<tr><th scope=\"row\">" + xml_escaped(m.name) + "</th><td>" + xml_escaped(options) +
                "</td></tr>\n";
    }
    return scrolling("Methods", "<table>\n<caption>Methods with all their options</caption>\n<tbody>\n" +
                                    rows + "</tbody>\n</table>\n");
}

std::string excluded(const RunReport& run) {
    constexpr size_t kShown = 50;
    std::string items;
    size_t count = 0;
    for (const SetInfo& s : run.results.sets)
        for (const SetFailure& f : s.failures)
            if (count++ < kShown)
                items += "<li>" + xml_escaped(s.name) + ": <code>" + xml_escaped(f.path) +
                         "</code>: " + xml_escaped(f.reason) + "</li>\n";
    if (count > kShown)
        items +=
            element("li", grouped(static_cast<int64_t>(count - kShown)) + " more, listed in results.json");
    if (count == 0) return "";
    return "<details>\n<summary>Excluded images: " + grouped(static_cast<int64_t>(count)) +
           "</summary>\n<ul>\n" + items + "</ul>\n</details>\n";
}

std::string lines(const Page& page, std::string_view heading, const std::vector<std::string>& texts) {
    if (texts.empty()) return "";
    std::string items;
    for (const std::string& text : texts) items += element("li", text);
    return element(page.heading(1), heading) + "<ul>\n" + items + "</ul>\n";
}

std::string plan(const Page& page, const RunReport& run) {
    if (run.results.run.plan.empty()) return "";
    std::string text;
    for (const std::string& line : run.results.run.plan) text += xml_escaped(line) + "\n";
    return element(page.heading(1), "The plan that ran, for an image") +
           "<pre class=\"steps\" tabindex=\"0\">" + text + "</pre>\n";
}

}  // namespace

std::string provenance(const Page& page) {
    std::string runs;
    for (size_t r = 0; r < page.runs.size(); ++r) {
        const RunReport& run = page.runs[r];
        runs += run_heading(page, r, "h3") + sets_table(run) + methods_table(run) + plan(page, run) +
                lines(page, "Notices", run.results.run.notices) + excluded(run);
    }
    return section("provenance", "Provenance", facts_table(page) + runs);
}

}  // namespace gs::html
