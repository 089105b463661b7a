#include <cmath>
#include <nlohmann/json.hpp>

#include "report/reproduction.h"

namespace gs {
namespace {

using Json = nlohmann::ordered_json;

Json number(const std::optional<double>& value) {
    return value && std::isfinite(*value) ? Json(*value) : Json(nullptr);
}

Json to_json(const PaperTable& table, const ComparedFigure& f) {
    Json json{{"ours", number(f.ours)}};
    if (f.spread) json["spread"] = number(f.spread);
    if (f.all) json["all_images"] = number(f.all);
    if (f.printed != nullptr) {
        json["printed"] = f.printed->value;
        json["difference"] = number(f.difference());
        json["tolerance"] = f.printed->tolerance;
        json["source"] = f.printed->source;
        json["trust"] = to_string(table.source(f.printed->source)->trust);
    }
    json["verdict"] = to_string(f.verdict);
    return json;
}

Json to_json(const PaperTable& table, const ComparedRow& row) {
    const TableRow& r = *row.row;
    Json json{{"label", r.label}, {"checkpoint", r.checkpoint}, {"method", r.method}};
    if (!r.method_for.empty()) json["method_for"] = r.method_for;
    json["valid"] = r.fit_on_test.empty();
    if (!r.fit_on_test.empty()) json["fit_on_test"] = r.fit_on_test;
    if (!r.reference.empty()) json["reference"] = r.reference;
    if (!row.not_run.empty()) json["not_run"] = row.not_run;
    json["not_comparable"] = row.why_not_comparable;
    json["notes"] = r.notes;
    Json figures = Json::object();
    for (size_t p = 0; p < row.places.size(); ++p)
        for (size_t c = 0; c < table.columns.size(); ++c)
            figures[row.places[p]][table.columns[c].name] = to_json(table, row.figures[p][c]);
    json["figures"] = std::move(figures);
    return json;
}

}  // namespace

std::string reproduction_json(const Reproduction& r) {
    const PaperTable& table = *r.table;
    Json columns = Json::array(), sources = Json::object(), rows = Json::array();
    for (const TableColumn& c : table.columns)
        columns.push_back({{"name", c.name},
                           {"label", c.label},
                           {"metric", c.metric},
                           {"better", c.lower_is_better ? "lower" : "higher"}});
    for (const FigureSource& s : table.sources)
        sources[s.name] = {{"text", s.text}, {"trust", to_string(s.trust)}};
    for (const ComparedRow& row : r.rows) rows.push_back(to_json(table, row));
    const Json json{
        {"schema", "gradscore/reproduction/1"},
        {"table", table.name},
        {"title", table.title},
        {"papers", table.papers},
        {"gradscore_version", r.gradscore_version},
        {"command", r.command},
        {"comparable", !r.limit.has_value()},
        {"limit", r.limit ? Json(*r.limit) : Json(nullptr)},
        {"complete", r.complete()},
        {"within", r.count(Verdict::Within)},
        {"out", r.count(Verdict::Out)},
        {"columns", std::move(columns)},
        {"sources", std::move(sources)},
        {"rows", std::move(rows)},
        {"missing", r.missing},
        {"notices", r.notices},
        {"notes", table.notes},
    };
    return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace gs
