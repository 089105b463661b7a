#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "core/numbers.h"
#include "core/printable.h"
#include "report/scores_csv.h"

namespace gs {
namespace {

constexpr std::array<std::string_view, 5> kFixedColumns{"index", "path", "label", "prediction", "reason"};

// Splits RFC 4180 text into records, a quoted field may hold newlines.
class Records {
  public:
    Records(std::string_view text, const std::string& name) : rest_(text), name_(name) {
        if (rest_.substr(0, 3) == "\xEF\xBB\xBF") rest_.remove_prefix(3);
    }

    // The next record's fields; false at the end.
    bool next(std::vector<std::string>& fields) {
        fields.clear();
        if (rest_.empty()) return false;
        line_ = next_line_;
        do {
            fields.push_back(rest_.substr(0, 1) == "\"" ? quoted_field() : plain_field());
        } while (take(","));
        if (!take("\r\n") && !take("\n") && !rest_.empty())
            fail("text after the closing quote of field " + std::to_string(fields.size()));
        ++next_line_;
        return true;
    }

    [[noreturn]] void fail(const std::string& what) const {
        throw Error(ErrorKind::Data, name_ + ":" + std::to_string(line_) + ": " + what);
    }

  private:
    bool take(std::string_view token) {
        if (rest_.substr(0, token.size()) != token) return false;
        rest_.remove_prefix(token.size());
        return true;
    }

    std::string plain_field() {
        const size_t end = std::min(rest_.find_first_of(",\n"), rest_.size());
        std::string_view field = rest_.substr(0, end);
        if (end < rest_.size() && rest_[end] == '\n' && !field.empty() && field.back() == '\r')
            field.remove_suffix(1);
        if (field.find('"') != field.npos) fail("a quote inside an unquoted field");
        rest_.remove_prefix(field.size());
        return std::string(field);
    }

    std::string quoted_field() {
        std::string field;
        rest_.remove_prefix(1);
        while (true) {
            const size_t end = rest_.find('"');
            if (end == rest_.npos) fail("a quoted field without its closing quote");
            field += rest_.substr(0, end);
            rest_.remove_prefix(end + 1);
            if (!take("\"")) break;
            field += '"';
        }
        next_line_ += std::count(field.begin(), field.end(), '\n');
        return field;
    }

    std::string_view rest_;
    const std::string& name_;
    int64_t line_ = 1, next_line_ = 1;
};

std::vector<std::string> read_header(Records& records, std::vector<std::string>& fields) {
    if (!records.next(fields)) records.fail("the file is empty");
    const bool known = fields.size() >= kFixedColumns.size() &&
                       std::equal(kFixedColumns.begin(), kFixedColumns.end(), fields.begin());
    if (!known) records.fail("no score table: its first line is not index,path,label,prediction,reason,…");
    std::vector<std::string> methods(fields.begin() + kFixedColumns.size(), fields.end());
    std::vector<std::string> sorted = methods;
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end()) records.fail("column '" + printable(*twice) + "' is there twice");
    return methods;
}

int64_t read_integer(const Records& records, const std::string& text, std::string_view column) {
    const auto value = parse_number<int64_t>(text);
    if (!value || *value < 0)
        records.fail(std::string(column) + " '" + printable(text) + "' is not a whole number from 0");
    return *value;
}

std::optional<int64_t> read_optional(const Records& records, const std::string& text,
                                     std::string_view column) {
    if (text.empty()) return std::nullopt;
    return read_integer(records, text, column);
}

double read_score(const Records& records, const std::string& text, const std::string& method) {
    double value = 0;
    const auto got = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = got.ptr == text.data() + text.size() && !text.empty();
    // libstdc++ 11 calls subnormal numbers out of range.
    if (whole && got.ec == std::errc::result_out_of_range) {
        value = std::strtod(text.c_str(), nullptr);
        if (std::isfinite(value)) return value;
    }
    if (!whole || got.ec != std::errc())
        records.fail("score '" + printable(text) + "' of " + printable(method) + " is not a number");
    return value;
}

ScoreRow read_row(const Records& records, std::vector<std::string>& fields,
                  const std::vector<std::string>& methods) {
    const size_t columns = kFixedColumns.size() + methods.size();
    if (fields.size() != columns)
        records.fail(std::to_string(fields.size()) + " fields, the header has " + std::to_string(columns));
    ScoreRow row;
    row.index = read_integer(records, fields[0], "index");
    row.path = std::move(fields[1]);
    row.label = read_optional(records, fields[2], "label");
    row.prediction = read_optional(records, fields[3], "prediction");
    row.reason = std::move(fields[4]);
    for (size_t m = 0; m < methods.size(); ++m) {
        const std::string& text = fields[kFixedColumns.size() + m];
        if (row.reason.empty())
            row.scores.push_back(read_score(records, text, methods[m]));
        else if (!text.empty())
            records.fail("an excluded image (reason '" + printable(row.reason) + "') has a score of " +
                         printable(methods[m]));
    }
    return row;
}

// A table put together wrongly (the same shard twice) must not count images twice.
void require_unique_indices(const ScoreTable& table, const std::string& name) {
    std::vector<int64_t> indices;
    for (const ScoreRow& row : table.rows) indices.push_back(row.index);
    std::sort(indices.begin(), indices.end());
    const auto twice = std::adjacent_find(indices.begin(), indices.end());
    if (twice != indices.end())
        throw Error(ErrorKind::Data, name + ": image " + std::to_string(*twice) + " is there twice");
}

}  // namespace

ScoreTable scores_from_csv(std::string_view text, const std::string& name) {
    Records records(without_bom(text), name);
    std::vector<std::string> fields;
    ScoreTable table;
    table.methods = read_header(records, fields);
    while (records.next(fields)) table.rows.push_back(read_row(records, fields, table.methods));
    require_unique_indices(table, name);
    return table;
}

ScoreTable read_scores_csv(const std::filesystem::path& path) {
    const MappedFile file(path, ErrorKind::Data);
    const auto bytes = file.bytes();
    return scores_from_csv({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

}  // namespace gs
