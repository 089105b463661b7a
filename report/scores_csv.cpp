#include "report/scores_csv.h"

#include "core/numbers.h"
#include "report/text.h"

namespace gs {
namespace {

std::string csv_field(std::string_view field) {
    if (field.find_first_of(",\"\r\n") == field.npos) return std::string(field);
    std::string text = "\"";
    for (char c : field) text += c == '"' ? std::string("\"\"") : std::string(1, c);
    return text + "\"";
}

std::string cell(const std::optional<int64_t>& value) {
    return value ? std::to_string(*value) : "";
}

}  // namespace

std::vector<std::vector<double>> ScoreTable::columns() const {
    std::vector<std::vector<double>> columns(methods.size());
    for (const ScoreRow& row : rows) {
        if (!row.reason.empty()) continue;
        for (size_t m = 0; m < methods.size(); ++m) columns[m].push_back(row.scores[m]);
    }
    return columns;
}

std::string scores_csv_header(const std::vector<std::string>& methods) {
    std::string line = "index,path,label,prediction,reason";
    for (const std::string& method : methods) line += "," + csv_field(method);
    return line + "\n";
}

std::string scores_csv_line(const ScoreRow& row, size_t methods) {
    const bool excluded = !row.reason.empty();
    GS_REQUIRE(row.scores.size() == (excluded ? 0 : methods));
    std::string line = std::to_string(row.index) + "," + csv_field(row.path) + "," + cell(row.label) + "," +
                       cell(row.prediction) + "," + csv_field(row.reason);
    for (double score : row.scores) line += "," + shortest(score);
    return line + std::string(excluded ? methods : 0, ',') + "\n";
}

ScoreCsvWriter::ScoreCsvWriter(const std::filesystem::path& path, const std::vector<std::string>& methods)
    : file_(path), methods_(methods.size()) {
    file_.write(scores_csv_header(methods));
}

void ScoreCsvWriter::write(const ScoreRow& row) {
    file_.write(scores_csv_line(row, methods_));
    ++rows_;
}

void ScoreCsvWriter::commit() {
    file_.commit();
}

}  // namespace gs
