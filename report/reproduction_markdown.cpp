#include <algorithm>

#include "core/join.h"
#include "report/markdown_parts.h"
#include "report/reproduction.h"
#include "report/reproduction_parts.h"
#include "report/text.h"

namespace gs {

using namespace markdown;

namespace {

std::string row_section(const Reproduction& r, const ComparedRow& row) {
    std::string text = "## " + escaped(row_title(row)) + "\n\n";
    for (const std::string& remark : row_remarks(row)) text += "- " + escaped(remark) + "\n";
    Rows rows{{"figure", ""}};
    for (const std::string& place : row.places) rows[0].push_back(escaped(place));
    for (size_t c = 0; c < r.table->columns.size(); ++c) {
        const auto add = [&](const std::string& kind, auto cell) {
            std::vector<std::string> cells{escaped(column_head(r.table->columns[c], true)), kind};
            for (const auto& place : row.figures) cells.push_back(cell(place[c]));
            const auto empty = [](const std::string& s) { return s.empty(); };
            if (!std::all_of(cells.begin() + 2, cells.end(), empty)) rows.push_back(std::move(cells));
        };
        add("printed", printed_text);
        add("ours", ours_text);
        add("spread over draws", spread_text);
        add("difference", difference_text);
        add("all images", all_text);
    }
    return text + "\n" + table(rows, 2);
}

std::vector<std::string> escaped_all(std::vector<std::string> items) {
    std::transform(items.begin(), items.end(), items.begin(), escaped);
    return items;
}

}  // namespace

std::string reproduction_markdown(const Reproduction& r) {
    std::string text = "# " + escaped(r.table->title) + "\n\n";
    for (const std::string& paper : r.table->papers) text += "- " + escaped(paper) + "\n";
    text +=
        "\nFigures in percent: " +
        join(r.table->columns, ", ",
             [](const TableColumn& c) {
                 return escaped(c.label) + " is " + code(c.metric) + ", tolerance " + fixed(c.tolerance, 2);
             }) +
        " unless a row says otherwise. " + escaped(summary(r)) + "\n\n";
    if (r.limit)
        text += "**Not comparable:** only the first " + grouped(*r.limit) + " images of each set.\n\n";
    for (const ComparedRow& row : r.rows)
        if (row.not_run.empty()) text += row_section(r, row);
    text += list("Not run", escaped_all(not_run_rows(r))) + list("Missing", escaped_all(r.missing)) +
            list("Notices", escaped_all(r.notices)) +
            list("Notes on this table", escaped_all(r.table->notes)) +
            list("Sources of the printed figures", escaped_all(sources(r)));
    return text + "Command: " + code(r.command) + ", gradscore " + escaped(r.gradscore_version) + "\n";
}

}  // namespace gs
