// gradscore reproduce --dry-run: what a table needs, what was given, which rows that is enough for.
#include <nlohmann/json.hpp>

#include "core/join.h"
#include "core/printable.h"
#include "report/text.h"
#include "tools/reproduce_plan.h"

namespace gs {
namespace {

using Json = nlohmann::ordered_json;

std::string indented(const std::string& what, const std::string& text) {
    return text.empty() ? "" : "      " + what + printable(text, 2000) + "\n";
}

std::string described(const TableSet& s, const Given& given) {
    const auto at = given.sets.find(s.name);
    std::string text = at == given.sets.end() ? "  [ ] " : at->second.objection.empty() ? "  [x] " : "  [!] ";
    text += s.name + ": " + printable(s.title, 300) + "\n";
    std::string size = s.images ? grouped(*s.images) + " images" : "number of images not known";
    if (!s.size.empty()) size += ", " + s.size;
    text += indented("", size) + indented("get: ", s.get) + indented("terms: ", s.licence);
    for (const std::string& note : s.notes) text += indented("note: ", note);
    if (at == given.sets.end()) return text + indented("give: ", "--data " + s.name + "=" + s.hint);
    return text + indented("given: ", at->second.spec + ", " + grouped(at->second.images) + " images") +
           indented("check: ", at->second.objection);
}

std::string described(const TableCheckpoint& c, const Given& given) {
    const auto at = given.weights.find(c.name);
    std::string text = at == given.weights.end()      ? "  [ ] "
                       : at->second.objection.empty() ? "  [x] "
                                                      : "  [!] ";
    text += c.name + ": " + printable(c.title, 300) + " (" + printable(c.net) + ")\n";
    text += indented("file: ", c.file + (c.size.empty() ? "" : ", " + c.size)) +
            indented("SHA-256: ", c.sha256.empty() ? "not known" : join(c.sha256, " or ")) +
            indented("get: ", c.get) + indented("terms: ", c.licence);
    for (const std::string& note : c.notes) text += indented("note: ", note);
    if (at == given.weights.end()) return text + indented("give: ", "--weights " + c.name + "=FILE");
    return text + indented("given: ", at->second.file + ", SHA-256 " + at->second.sha256) +
           indented("check: ", at->second.objection);
}

std::string described(const TableStatistics& s, const Given& given) {
    const auto at = given.stats.find(s.name);
    const std::string text = (at == given.stats.end() ? "  [ ] " : "  [x] ") + s.name + ": " +
                             printable(s.title, 300) + "\n" + indented("make: ", s.fit);
    if (at == given.stats.end()) return text + indented("give: ", "--stats " + s.name + "=FILE");
    return text + indented("given: ", at->second);
}

}  // namespace

std::string needs_text(const PaperTable& table, const Given& given, const ReproducePlan& plan) {
    std::string text = printable(table.title, 300) + "\n";
    for (const std::string& paper : table.papers) text += "  " + printable(paper, 300) + "\n";
    text += "\nWeights ([x] given, [!] given and not as published, [ ] missing)\n";
    for (const TableCheckpoint& c : table.checkpoints) text += described(c, given);
    text += "\nSets\n";
    for (const TableSet& s : table.sets) text += described(s, given);
    if (!table.statistics.empty()) text += "\nStatistics\n";
    for (const TableStatistics& s : table.statistics) text += described(s, given);
    text += "\nRows\n";
    for (size_t r = 0; r < table.rows.size(); ++r) {
        const TableRow& row = table.rows[r];
        if (!plan.asked[r]) continue;
        const std::string method = row.method.empty() ? "" : " (" + row.method + ")";
        const std::string state = !row.reference.empty() ? "for comparison only: " + row.reference
                                  : plan.not_run[r]      ? "cannot run: " + *plan.not_run[r]
                                                         : "ready";
        text += printable("  " + row.label + ", " + row.checkpoint + method + ": " + state, 2000) + "\n";
    }
    if (!table.notes.empty()) text += "\nNotes\n";
    for (const std::string& note : table.notes) text += printable("  " + note, 2000) + "\n";
    return text;
}

std::string needs_json(const PaperTable& table, const Given& given, const ReproducePlan& plan) {
    Json weights = Json::object(), sets = Json::object(), statistics = Json::object(), rows = Json::array();
    for (const TableCheckpoint& c : table.checkpoints) {
        Json& json = weights[c.name] = {{"title", c.title},   {"net", c.net},  {"file", c.file},
                                        {"size", c.size},     {"get", c.get},  {"terms", c.licence},
                                        {"sha256", c.sha256}, {"given", false}};
        if (const auto at = given.weights.find(c.name); at != given.weights.end()) {
            json["given"] = true;
            json["path"] = at->second.file;
            json["found_sha256"] = at->second.sha256;
            json["objection"] = at->second.objection;
        }
    }
    for (const TableSet& s : table.sets) {
        Json& json =
            sets[s.name] = {{"title", s.title},   {"images", s.images ? Json(*s.images) : Json(nullptr)},
                            {"size", s.size},     {"get", s.get},
                            {"terms", s.licence}, {"given", false}};
        if (const auto at = given.sets.find(s.name); at != given.sets.end()) {
            json["given"] = true;
            json["spec"] = at->second.spec;
            json["found_images"] = at->second.images;
            json["objection"] = at->second.objection;
        }
    }
    for (const TableStatistics& s : table.statistics) {
        const auto at = given.stats.find(s.name);
        statistics[s.name] = {{"title", s.title}, {"fit", s.fit}, {"given", at != given.stats.end()}};
        if (at != given.stats.end()) statistics[s.name]["path"] = at->second;
    }
    for (size_t r = 0; r < table.rows.size(); ++r)
        if (plan.asked[r])
            rows.push_back({{"label", table.rows[r].label},
                            {"checkpoint", table.rows[r].checkpoint},
                            {"method", table.rows[r].method},
                            {"reference", table.rows[r].reference},
                            {"not_run", plan.not_run[r].value_or("")}});
    const Json json{{"schema", "gradscore/needs/1"},
                    {"table", table.name},
                    {"weights", std::move(weights)},
                    {"sets", std::move(sets)},
                    {"statistics", std::move(statistics)},
                    {"rows", std::move(rows)},
                    {"missing", plan.missing}};
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace gs
