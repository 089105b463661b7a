#include "report/markdown_parts.h"

#include <algorithm>

#include "core/printable.h"
#include "report/text.h"

namespace gs::markdown {

std::string escaped(std::string_view text) {
    std::string safe;
    for (char c : printable(text, 1000)) {
        if (std::string_view("\\`*<|[").find(c) != std::string_view::npos) safe += '\\';
        safe += c;
    }
    return safe;
}

std::string code(std::string_view text) {
    std::string safe = printable(text, 4000);
    std::replace(safe.begin(), safe.end(), '`', '\'');
    for (size_t at = 0; (at = safe.find('|', at)) != safe.npos; at += 2) safe.insert(at, 1, '\\');
    return safe.empty() ? "" : "`" + safe + "`";
}

std::string table(const Rows& rows, size_t left) {
    std::vector<size_t> widths(rows[0].size(), 3);
    for (const auto& row : rows)
        for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], display_width(row[c]));
    std::string text;
    for (size_t r = 0; r < rows.size(); ++r) {
        for (size_t c = 0; c < widths.size(); ++c)
            text += "| " + (c < left ? pad_right : pad_left)(rows[r][c], widths[c]) + " ";
        text += "|\n";
        if (r > 0) continue;
        for (size_t c = 0; c < widths.size(); ++c)
            text += c < left ? "|" + std::string(widths[c] + 2, '-')
                             : "|" + std::string(widths[c] + 1, '-') + ":";
        text += "|\n";
    }
    return text + "\n";
}

std::string list(const std::string& heading, const std::vector<std::string>& items) {
    if (items.empty()) return "";
    std::string text = "## " + heading + "\n\n";
    for (const std::string& item : items) text += "- " + item + "\n";
    return text + "\n";
}

}  // namespace gs::markdown
