// Where the figures come from: everything that results.json knows of the runs.
#include <algorithm>

#include "core/printable.h"
#include "report/html_parts.h"
#include "report/svg.h"
#include "report/text.h"

namespace gs::html {
namespace {

std::string listed(const std::map<std::string, std::string>& values) {
    std::string text;
    for (const auto& [name, value] : values) text += (text.empty() ? "" : "\n") + name + " " + value;
    return text;
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
    {"batch",
     [](const RunReport& r) {
         return r.results.run.batch > 0 ? std::to_string(r.results.run.batch) : std::string("chosen");
     }},
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
    {"gradscore", [](const RunReport& r) { return r.results.run.gradscore_version; }},
    {"libraries", [](const RunReport& r) { return listed(r.results.run.libraries); }},
};

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
        for (const std::string& value : values) rows += "<td>" + xml_escaped(value, 20000) + "</td>";
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

std::string lines(std::string_view heading, const std::vector<std::string>& texts) {
    if (texts.empty()) return "";
    std::string items;
    for (const std::string& text : texts) items += element("li", text);
    return element("h4", heading) + "<ul>\n" + items + "</ul>\n";
}

}  // namespace

std::string provenance(const Page& page) {
    std::string runs;
    for (size_t r = 0; r < page.runs.size(); ++r) {
        const RunReport& run = page.runs[r];
        runs += run_heading(page, r, "h3") + sets_table(run) + methods_table(run) +
                lines("Notices", run.results.run.notices) + excluded(run);
    }
    return section("provenance", "Provenance", facts_table(page) + runs);
}

}  // namespace gs::html
