#include <algorithm>

#include "core/join.h"
#include "core/printable.h"
#include "report/reproduction.h"
#include "report/reproduction_parts.h"
#include "report/text.h"

namespace gs {
namespace {

constexpr size_t kPlacesInBlock = 6, kNarrowest = 9, kHead = 23;

std::string line(const std::string& what, const std::string& kind, const std::vector<std::string>& cells,
                 const std::vector<size_t>& widths) {
    std::string text = pad_right("  " + what, kHead - 12) + pad_right(kind, 12);
    for (size_t c = 0; c < cells.size(); ++c) text += " " + pad_left(cells[c], widths[c]);
    while (text.ends_with(' ')) text.pop_back();
    return text + "\n";
}

// The places [first, last) of a row: a head, then for each column printed, ours and the difference.
std::string block(const Reproduction& r, const ComparedRow& row, size_t first, size_t last, bool utf8) {
    std::vector<std::string> heads;
    std::vector<size_t> widths;
    for (size_t p = first; p < last; ++p) {
        heads.push_back(elided(printable(row.places[p]), 20, utf8 ? "…" : "..."));
        widths.push_back(std::max(kNarrowest, display_width(heads.back())));
    }
    std::string text = line("", "", heads, widths);
    for (size_t c = 0; c < r.table->columns.size(); ++c) {
        const auto cells = [&](auto cell) {
            std::vector<std::string> texts;
            for (size_t p = first; p < last; ++p) texts.push_back(cell(row.figures[p][c]));
            return texts;
        };
        const auto add = [&](const std::string& what, const std::string& kind,
                             const std::vector<std::string>& texts) {
            const bool any =
                std::any_of(texts.begin(), texts.end(), [](const auto& t) { return !t.empty(); });
            if (any) text += line(what, kind, texts, widths);
            return any;
        };
        std::string what = column_head(r.table->columns[c], utf8);
        if (add(what, "printed", cells(printed_text))) what.clear();
        add(what, "ours", cells(ours_text));
        add("", "spread", cells(spread_text));
        add("", "difference", cells(difference_text));
        add("", "all images", cells(all_text));
    }
    return text;
}

std::string row_text(const Reproduction& r, const ComparedRow& row, bool utf8) {
    std::string text = "\n" + printable(row_title(row), 200) + "\n";
    for (const std::string& remark : row_remarks(row)) text += "  " + printable(remark, 1000) + "\n";
    for (size_t first = 0; first < row.places.size(); first += kPlacesInBlock)
        text += block(r, row, first, std::min(first + kPlacesInBlock, row.places.size()), utf8);
    return text;
}

std::string bullets(const std::string& heading, const std::vector<std::string>& items) {
    if (items.empty()) return "";
    std::string text = "\n" + heading + "\n";
    for (const std::string& item : items) text += "  " + printable(item, 1000) + "\n";
    return text;
}

}  // namespace

std::string reproduction_text(const Reproduction& r, bool utf8) {
    std::string text = printable(r.table->title, 300) + "\n";
    for (const std::string& paper : r.table->papers) text += "  " + printable(paper, 300) + "\n";
    text += "Figures in percent: " +
            join(r.table->columns, ", ",
                 [](const TableColumn& c) { return printable(c.label) + " is " + c.metric; }) +
            ".\n";
    if (r.limit) text += "NOT COMPARABLE: only the first " + grouped(*r.limit) + " images of each set.\n";
    for (const ComparedRow& row : r.rows)
        if (row.not_run.empty()) text += row_text(r, row, utf8);
    text +=
        bullets("Not run", not_run_rows(r)) + bullets("Missing", r.missing) + bullets("Notices", r.notices);
    text += bullets("Notes on this table", r.table->notes) +
            bullets("Sources of the printed figures", sources(r));
    return text + "\n" + summary(r) + "\n";
}

}  // namespace gs
