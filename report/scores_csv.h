// scores/<set>.csv: one line an image, as RFC 4180 quotes and with plain newlines:
//   index,path,label,prediction,reason,METHOD,…
// Scores have the fewest digits that read back to the same double, or nan, inf, -inf. An excluded image has a
// reason and no prediction and scores. Paths keep their bytes, UTF-8 or not.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/files.h"

namespace gs {

struct ScoreRow {
    int64_t index = 0;  // in the set
    std::string path;
    std::optional<int64_t> label, prediction;
    std::string reason;          // not empty: the image was excluded
    std::vector<double> scores;  // one a method; empty where excluded
};

struct ScoreTable {
    std::vector<std::string> methods;
    std::vector<ScoreRow> rows;

    // Scores by method over the rows that were not excluded: what summarise() takes.
    std::vector<std::vector<double>> columns() const;
};

// Writes rows as they come, under a temporary name that commit() turns into the real one. An interrupted run
// commits too: the file then holds the rows so far, and fewer than the set has.
class ScoreCsvWriter {
  public:
    ScoreCsvWriter(const std::filesystem::path& path, const std::vector<std::string>& methods);
    void write(const ScoreRow& row);
    int64_t rows() const { return rows_; }
    void commit();

  private:
    AtomicFile file_;
    size_t methods_;
    int64_t rows_ = 0;
};

// The writer's lines, with their newline. An excluded row has empty cells for its `methods` scores.
std::string scores_csv_header(const std::vector<std::string>& methods);
std::string scores_csv_line(const ScoreRow& row, size_t methods);

// Reads what the writer writes, also with CRLF, a byte order mark, needless quotes or no newline at the end.
// Throws Error(Data) "NAME:LINE: what is wrong" with the line where the record begins.
ScoreTable scores_from_csv(std::string_view text, const std::string& name);
ScoreTable read_scores_csv(const std::filesystem::path& path);

}  // namespace gs
