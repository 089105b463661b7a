#include <algorithm>
#include <cmath>
#include <set>

#include "core/files.h"
#include "core/join.h"
#include "core/printable.h"
#include "report/json_node.h"
#include "report/paper_table.h"
#include "report/results.h"

namespace gs {
namespace {

constexpr std::string_view kSchema = "gradscore/table/1";
constexpr size_t kLongestName = 60;

void expect_only(const JsonNode& n, std::initializer_list<std::string_view> known) {
    for (const std::string& key : n.keys())
        if (std::find(known.begin(), known.end(), key) == known.end())
            n[key].fail("is not known here (" + join(known) + ")");
}

std::string text_or(const JsonNode& n, const std::string& key) {
    return n.has(key) ? n[key].text() : "";
}

std::vector<std::string> texts_or(const JsonNode& n, const std::string& key) {
    std::vector<std::string> texts;
    if (n.has(key))
        for (const JsonNode& item : n[key].items()) texts.push_back(item.text());
    return texts;
}

// Names of sets and checkpoints become names of files and words of the command line.
void check_plain(const JsonNode& at, const std::string& name) {
    const auto plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '_' || c == '.';
    };
    if (name.empty() || name.size() > kLongestName || name.front() == '.' || name.front() == '-' ||
        !std::all_of(name.begin(), name.end(), plain))
        at.fail("is no plain name (letters, digits, - _ .)");
}

// A figure in percent, or a difference of two.
double points(const JsonNode& n) {
    const double value = n.number();
    if (!(value >= 0 && value <= 100)) n.fail("is not between 0 and 100");
    return value;
}

Trust read_trust(const JsonNode& n) {
    const std::string name = n.text();
    for (const Trust trust : {Trust::Read, Trust::Aggregator, Trust::Memory, Trust::Measured})
        if (to_string(trust) == name) return trust;
    n.fail("is none of read, aggregator, memory, measured");
}

// The members of an object, each read with its key as the name.
template <class Read>
auto read_named(const JsonNode& root, const std::string& key, bool plain, const Read& read) {
    std::vector<decltype(read(root, std::string()))> items;
    if (!root.has(key)) return items;
    const JsonNode all = root[key];
    for (const std::string& name : all.keys()) {
        if (plain) check_plain(all[name], name);
        items.push_back(read(all[name], name));
    }
    return items;
}

FigureSource read_source(const JsonNode& n, const std::string& name) {
    expect_only(n, {"text", "trust"});
    return {name, n["text"].text(), read_trust(n["trust"])};
}

TableColumn read_column(const JsonNode& n) {
    expect_only(n, {"name", "label", "metric", "better", "tolerance"});
    TableColumn c;
    c.name = n["name"].text();
    c.label = n["label"].text();
    c.metric = n["metric"].text();
    const auto fields = metric_fields();
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&](const MetricField& f) { return f.name == c.metric; });
    if (field == fields.end())
        n["metric"].fail("is none of " + join(fields, ", ", [](const MetricField& f) { return f.name; }));
    c.value = field->value;
    const std::string better = n["better"].text();
    if (better != "lower" && better != "higher") n["better"].fail("is neither \"lower\" nor \"higher\"");
    c.lower_is_better = better == "lower";
    c.tolerance = points(n["tolerance"]);
    return c;
}

TableSet read_set(const JsonNode& n, const std::string& name) {
    expect_only(n, {"title", "images", "size", "get", "licence", "hint", "notes"});
    TableSet s;
    s.name = name;
    s.title = n["title"].text();
    s.size = text_or(n, "size");
    s.get = text_or(n, "get");
    s.licence = text_or(n, "licence");
    s.hint = text_or(n, "hint");
    if (n.has("images") && !n["images"].is_null()) s.images = n["images"].count();
    s.notes = texts_or(n, "notes");
    return s;
}

std::string read_hash(const JsonNode& n) {
    const std::string hash = n.text();
    const bool hex = hash.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!hex || hash.size() < 8 || hash.size() > 64) n.fail("is not 8 to 64 lower-case hex digits");
    return hash;
}

TableCheckpoint read_checkpoint(const JsonNode& n, const std::string& name) {
    expect_only(n, {"title", "net", "file", "size", "get", "licence", "sha256", "id", "ood", "groups",
                    "preprocess", "notes"});
    TableCheckpoint c;
    c.name = name;
    c.title = n["title"].text();
    c.net = n["net"].text();
    c.file = text_or(n, "file");
    c.size = text_or(n, "size");
    c.get = text_or(n, "get");
    c.licence = text_or(n, "licence");
    if (n.has("sha256"))
        for (const JsonNode& hash : n["sha256"].items()) c.sha256.push_back(read_hash(hash));
    c.id = n["id"].text();
    c.ood = texts_or(n, "ood");
    if (c.ood.empty()) n.fail("has no ood sets");
    c.groups = read_named(n, "groups", false, [](const JsonNode& g, const std::string& group) {
        TableGroup read{group, {}};
        for (const JsonNode& set : g.items()) read.sets.push_back(set.text());
        if (read.sets.empty()) g.fail("is empty");
        return read;
    });
    if (n.has("preprocess")) {
        expect_only(n["preprocess"], {"resize", "crop", "mean", "std"});
        c.preprocess = n["preprocess"].texts();
    }
    c.notes = texts_or(n, "notes");
    return c;
}

TableStatistics read_statistics_entry(const JsonNode& n, const std::string& name) {
    expect_only(n, {"title", "fit"});
    return {name, n["title"].text(), n["fit"].text()};
}

// A list of one value a column; null: nothing printed.
std::vector<JsonNode> per_column(const JsonNode& n, const PaperTable& table) {
    std::vector<JsonNode> items = n.items();
    if (items.size() != table.columns.size())
        n.fail("does not have one entry for each of the " + std::to_string(table.columns.size()) +
               " columns");
    return items;
}

void check_place(const JsonNode& at, const TableCheckpoint& checkpoint, const std::string& place) {
    const auto places = checkpoint.places();
    if (std::find(places.begin(), places.end(), place) == places.end())
        at.fail("is neither a set nor a group of checkpoint " + printable(checkpoint.name));
}

void read_figures(const JsonNode& n, const PaperTable& table, const TableCheckpoint& checkpoint,
                  TableRow& row) {
    std::vector<double> tolerance;
    for (const TableColumn& c : table.columns) tolerance.push_back(c.tolerance);
    if (n.has("tolerance")) {
        const auto given = per_column(n["tolerance"], table);
        for (size_t c = 0; c < given.size(); ++c)
            if (!given[c].is_null()) tolerance[c] = points(given[c]);
    }
    const std::string source = n.has("source") ? n["source"].text() : "";
    if (!n.has("figures")) return;
    for (const std::string& place : n["figures"].keys()) {
        check_place(n["figures"][place], checkpoint, place);
        auto& cells = row.figures[place];
        const auto values = per_column(n["figures"][place], table);
        for (size_t c = 0; c < values.size(); ++c) {
            cells.emplace_back();
            if (!values[c].is_null()) cells[c] = {points(values[c]), tolerance[c], source};
        }
    }
}

// What differs from the row's source and tolerance at one place.
void read_exceptions(const JsonNode& n, const PaperTable& table, TableRow& row) {
    const auto each = [&](const std::string& key, const auto& use) {
        if (!n.has(key)) return;
        for (const std::string& place : n[key].keys()) {
            if (!row.figures.contains(place)) n[key][place].fail("has no figures");
            const auto given = per_column(n[key][place], table);
            for (size_t c = 0; c < given.size(); ++c)
                if (auto& figure = row.figures[place][c]; figure && !given[c].is_null())
                    use(*figure, given[c]);
        }
    };
    each("sources", [](PrintedFigure& figure, const JsonNode& at) { figure.source = at.text(); });
    each("tolerances", [](PrintedFigure& figure, const JsonNode& at) { figure.tolerance = points(at); });
    for (const auto& [place, cells] : row.figures)
        for (const auto& figure : cells)
            if (figure && table.source(figure->source) == nullptr)
                n["figures"][place].fail("has a figure without a source of the table ('" +
                                         printable(figure->source) + "')");
}

TableRow read_row(const JsonNode& n, const PaperTable& table) {
    expect_only(n, {"label", "checkpoint", "method", "method_for", "statistics", "fit_on_test", "reference",
                    "source", "sources", "tolerance", "tolerances", "figures", "notes"});
    TableRow r;
    r.label = n["label"].text();
    r.checkpoint = n["checkpoint"].text();
    const TableCheckpoint* checkpoint = table.checkpoint(r.checkpoint);
    if (checkpoint == nullptr) n["checkpoint"].fail("is no checkpoint of this table");
    r.reference = text_or(n, "reference");
    r.method = text_or(n, "method");
    if (r.method.empty() == r.reference.empty())
        n.fail("needs either a method or the reason why it is a reference only");
    if (n.has("method_for")) r.method_for = n["method_for"].texts();
    for (const auto& [set, method] : r.method_for) check_place(n["method_for"][set], *checkpoint, set);
    r.statistics = text_or(n, "statistics");
    if (!r.statistics.empty() && table.statistic(r.statistics) == nullptr)
        n["statistics"].fail("is no statistics of this table");
    r.fit_on_test = text_or(n, "fit_on_test");
    r.notes = texts_or(n, "notes");
    read_figures(n, table, *checkpoint, r);
    read_exceptions(n, table, r);
    return r;
}

TableDraws read_draws(const JsonNode& n) {
    expect_only(n, {"count", "images"});
    const TableDraws draws{n["count"].count(), n["images"].count()};
    if (draws.count < 1 || draws.count > 1000) n["count"].fail("is not between 1 and 1000");
    if (draws.images < 1) n["images"].fail("is 0");
    return draws;
}

// Sets that checkpoints speak of are there, each once.
void check_sets(const JsonNode& root, const PaperTable& table) {
    for (const TableCheckpoint& c : table.checkpoints) {
        const JsonNode at = root["checkpoints"][c.name];
        std::set<std::string_view> seen{c.id};
        if (table.set(c.id) == nullptr) at["id"].fail("is no set of this table");
        for (const std::string& name : c.ood) {
            if (table.set(name) == nullptr) at["ood"].fail("names '" + printable(name) + "', no set here");
            if (!seen.insert(name).second) at["ood"].fail("names '" + printable(name) + "' twice");
        }
        for (const TableGroup& g : c.groups) {
            if (!seen.insert(g.name).second) at["groups"].fail("has a group with the name of a set");
            for (const std::string& name : g.sets)
                if (std::find(c.ood.begin(), c.ood.end(), name) == c.ood.end())
                    at["groups"][g.name].fail("names '" + printable(name) + "', which is not among ood");
        }
    }
}

}  // namespace

PaperTable paper_table_from_json(std::string_view text, const std::string& name) {
    const JsonDocument document(text, name, "docs/file-formats.md describes tables");
    const JsonNode root = document.root();
    const std::string schema = root["schema"].text();
    if (schema != kSchema)
        root["schema"].fail("is '" + printable(schema) + "', this version reads '" + std::string(kSchema) +
                            "'");
    expect_only(root, {"schema", "name", "title", "papers", "notes", "sources", "columns", "draws", "sets",
                       "checkpoints", "statistics", "rows"});
    PaperTable table;
    table.name = root["name"].text();
    check_plain(root["name"], table.name);
    table.title = root["title"].text();
    table.papers = texts_or(root, "papers");
    table.notes = texts_or(root, "notes");
    table.sources = read_named(root, "sources", true, read_source);
    for (const JsonNode& column : root["columns"].items()) table.columns.push_back(read_column(column));
    if (table.columns.empty()) root["columns"].fail("is empty");
    if (root.has("draws")) table.draws = read_draws(root["draws"]);
    table.sets = read_named(root, "sets", true, read_set);
    table.checkpoints = read_named(root, "checkpoints", true, read_checkpoint);
    table.statistics = read_named(root, "statistics", true, read_statistics_entry);
    check_sets(root, table);
    for (const JsonNode& row : root["rows"].items()) table.rows.push_back(read_row(row, table));
    if (table.rows.empty()) root["rows"].fail("is empty");
    return table;
}

PaperTable read_paper_table(const std::filesystem::path& path) {
    constexpr size_t kLimit = size_t{16} << 20;
    const std::vector<std::byte> bytes = read_file(path, ErrorKind::Data, kLimit);
    return paper_table_from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

}  // namespace gs
