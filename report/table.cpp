#include "report/table.h"

#include <algorithm>
#include <cstdlib>

#include "core/printable.h"
#include "report/table_parts.h"
#include "report/text.h"

namespace gs {
namespace {

// Lines of at most `width` columns, broken at spaces; all but the first are indented.
std::string wrapped(std::string_view text, size_t width) {
    std::string out;
    size_t used = 0;
    while (!text.empty()) {
        const size_t end = std::min(text.find(' '), text.size());
        const size_t word = display_width(text.substr(0, end));
        if (used > 0) {
            const bool fits = used + 1 + word <= width;
            out += fits ? " " : "\n    ";
            used = fits ? used + 1 : 4;
        }
        out += text.substr(0, end);
        used += word;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

// A terminal's table as lines; all widths in columns.
class Terminal {
  public:
    Terminal(const Results& results, const TableStyle& style) : results_(results), style_(style) {
        for (const Figure& f : kFigures)
            headers_.push_back(std::string(f.name) + (!style.utf8 ? "" : f.lower_is_better ? "↓" : "↑"));
        method_width_ = display_width("method");
        for (const MethodInfo& m : results.methods)
            method_width_ = std::max(method_width_, display_width(printable(m.name)));
    }

    std::string text() {
        head();
        const auto groups = column_groups(results_);
        if (groups.empty()) line("\nNo out-of-distribution set was given: scores, but no metrics.");
        // The figures move closer where that saves a block.
        set_gap(blocks(groups.size(), 1) < blocks(groups.size(), 2) ? 1 : 2);
        for (const auto& block : in_blocks(groups, groups_in_width(gap_))) table(block);
        tail();
        return std::move(out_);
    }

  private:
    void line(const std::string& text) { out_ += text.substr(0, text.find_last_not_of(' ') + 1) + "\n"; }

    std::string strong(const std::string& text) const {
        return style_.colour ? "\x1b[1m" + text + "\x1b[0m" : text;
    }

    void set_gap(size_t gap) {
        gap_ = gap;
        group_width_ = width_of_group(gap);
    }

    size_t width_of_group(size_t gap) const {
        size_t width = (headers_.size() - 1) * gap;
        for (const std::string& header : headers_) width += display_width(header);
        return width;
    }

    size_t groups_in_width(size_t gap) const {
        const size_t room = style_.width > method_width_ ? style_.width - method_width_ : 0;
        return std::max<size_t>(1, room / (width_of_group(gap) + 3));
    }

    size_t blocks(size_t groups, size_t gap) const {
        return (groups + groups_in_width(gap) - 1) / groups_in_width(gap);
    }

    void head() {
        line(strong(title(results_)));
        line(std::string(kConventions));
        if (!style_.utf8) line("Lower is better for FPR95, higher for AUROC and AUPR-in.");
        line("");
        size_t width = 0;
        for (const SetInfo& s : results_.sets) width = std::max(width, display_width(printable(s.name)));
        for (const SetInfo& s : results_.sets) {
            const std::string role = s.role == SetRole::Id ? "  ID   " : "  OOD  ";
            const std::string accuracy = s.accuracy ? ", accuracy " + percent(*s.accuracy) + " %" : "";
            line(role + pad_right(printable(s.name), width) + "  " + image_counts(s) + accuracy);
        }
    }

    void table(const std::vector<ColumnGroup>& groups) {
        const std::string bar = style_.utf8 ? " │ " : " | ";
        std::string names = std::string(method_width_, ' '), heads = pad_right("method", method_width_);
        std::string rule = repeated(method_width_);
        for (const ColumnGroup& g : groups) {
            names += bar + pad_center(elided(g.name, group_width_, style_.utf8 ? "…" : ".."), group_width_);
            heads += bar;
            for (size_t f = 0; f < headers_.size(); ++f)
                heads += (f ? std::string(gap_, ' ') : "") + headers_[f];
            rule += (style_.utf8 ? "─┼─" : "-+-") + repeated(group_width_);
        }
        out_ += "\n";
        for (const std::string& text : {names, heads, rule}) line(text);
        for (size_t m = 0; m < results_.methods.size(); ++m) {
            std::string row = pad_right(printable(results_.methods[m].name), method_width_);
            for (const ColumnGroup& g : groups) row += bar + figures(g.rows[m]);
            line(row);
        }
    }

    std::string figures(const std::array<Cell, kFigures.size()>& cells) const {
        std::string text;
        for (size_t f = 0; f < cells.size(); ++f) {
            const size_t width = display_width(headers_[f]), own = display_width(cells[f].text);
            text += std::string((f ? gap_ : 0) + width - std::min(own, width), ' ');
            text += cells[f].best ? strong(cells[f].text) : cells[f].text;
        }
        return text;
    }

    void tail() {
        const auto& invalid = results_.run.invalid_protocol;
        if (results_.comparable() && results_.warnings.empty() && invalid.empty()) return;
        out_ += "\n";
        for (const std::string& reason : invalid)
            line(wrapped(strong("INVALID PROTOCOL: ") + printable(reason, 1000), style_.width));
        if (!results_.comparable()) line(strong("NOT COMPARABLE: ") + not_comparable(results_));
        for (const Warning& w : results_.warnings)
            line(wrapped("warning: " + printable(w.message, 1000), style_.width));
    }

    std::string repeated(size_t count) const {
        std::string text;
        for (size_t k = 0; k < count; ++k) text += style_.utf8 ? "─" : "-";
        return text;
    }

    const Results& results_;
    const TableStyle& style_;
    std::vector<std::string> headers_;
    size_t gap_ = 2, group_width_ = 0, method_width_ = 0;
    std::string out_;
};

}  // namespace

std::string results_table(const Results& results, const TableStyle& style) {
    return Terminal(results, style).text();
}

bool locale_is_utf8() {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        const char* value = std::getenv(name);
        if (value == nullptr || *value == '\0') continue;
        std::string locale = value;
        std::transform(locale.begin(), locale.end(), locale.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
        return locale.find("utf-8") != locale.npos || locale.find("utf8") != locale.npos;
    }
    return false;
}

}  // namespace gs
