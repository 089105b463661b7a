#include "report/reproduction_parts.h"

#include <set>

#include "core/join.h"
#include "core/printable.h"
#include "report/text.h"

namespace gs {
namespace {

std::string points(double value) {
    return value == value ? fixed(value, 2) : "n/a";
}

// Names of the sources of a row's printed figures, once each.
std::set<std::string> source_names(const ComparedRow& row) {
    std::set<std::string> names;
    for (const auto& place : row.figures)
        for (const ComparedFigure& f : place)
            if (f.printed != nullptr) names.insert(f.printed->source);
    return names;
}

}  // namespace

std::string column_head(const TableColumn& column, bool utf8) {
    const std::string label = printable(column.label);
    if (!utf8) return label;
    return label + (column.lower_is_better ? "↓" : "↑");
}

std::string printed_text(const ComparedFigure& f) {
    return f.printed == nullptr ? "" : points(f.printed->value);
}

std::string ours_text(const ComparedFigure& f) {
    return f.ours ? points(*f.ours) : "";
}

std::string difference_text(const ComparedFigure& f) {
    const auto difference = f.difference();
    if (!difference) return "";
    const std::string mark = f.verdict == Verdict::Out ? "!" : f.verdict == Verdict::NotComparable ? "~" : "";
    std::string text = points(*difference);
    if (text == "-0.00") text = "0.00";
    return (*difference > 0 && text != "0.00" ? "+" : "") + text + mark;
}

std::string spread_text(const ComparedFigure& f) {
    return f.spread ? points(*f.spread) : "";
}

std::string all_text(const ComparedFigure& f) {
    return f.all ? points(*f.all) : "";
}

std::string row_title(const ComparedRow& row) {
    const TableRow& r = *row.row;
    std::vector<std::string> parts;
    if (!r.method.empty()) parts.push_back(r.method);
    for (const auto& [set, method] : r.method_for) parts.push_back("on " + set + " " + method);
    parts.push_back(row.checkpoint->title);
    return r.label + " (" + join(parts, "; ") + ")";
}

std::vector<std::string> row_remarks(const ComparedRow& row) {
    const TableRow& r = *row.row;
    std::vector<std::string> remarks;
    if (!r.fit_on_test.empty())
        remarks.push_back("INVALID, learns from the images it scores: " + r.fit_on_test);
    if (!r.reference.empty()) remarks.push_back("for comparison only: " + r.reference);
    for (const std::string& why : row.why_not_comparable) remarks.push_back("not comparable: " + why);
    for (const std::string& note : r.notes) remarks.push_back("note: " + note);
    if (const auto names = source_names(row); !names.empty())
        remarks.push_back("printed figures from: " + join(names));
    return remarks;
}

std::vector<std::string> not_run_rows(const Reproduction& reproduction) {
    std::vector<std::string> items;
    for (const ComparedRow& row : reproduction.rows)
        if (!row.not_run.empty()) items.push_back(row_title(row) + ": " + row.not_run);
    return items;
}

std::vector<std::string> sources(const Reproduction& reproduction) {
    std::set<std::string> used;
    for (const ComparedRow& row : reproduction.rows)
        if (row.not_run.empty()) used.merge(source_names(row));
    std::vector<std::string> items;
    for (const FigureSource& s : reproduction.table->sources)
        if (used.contains(s.name))
            items.push_back(s.name + ": " + s.text + " (" + std::string(describe(s.trust)) + ")");
    return items;
}

std::string summary(const Reproduction& r) {
    const int64_t out = r.count(Verdict::Out), not_comparable = r.count(Verdict::NotComparable);
    std::string text =
        counted(r.count(Verdict::Within), "figure") + " within tolerance, " + grouped(out) + " out of it";
    if (out > 0) text += " (!)";
    if (not_comparable > 0) text += ", " + grouped(not_comparable) + " not comparable (~)";
    if (!r.complete()) text += "; not the whole table was compared";
    return text + ".";
}

}  // namespace gs
