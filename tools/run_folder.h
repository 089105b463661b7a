// A run's folder (docs/file-formats.md): made, filled with results, read back.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "report/results.h"
#include "report/scores_csv.h"

namespace gs {

// Of a scoring run: scores, and arrays where they are kept.
std::vector<std::string> scoring_folders(bool arrays);

std::filesystem::path scores_path(const std::filesystem::path& run, const std::string& set);
// Of a shard: the SHA-256 of every scored image, a line each.
std::filesystem::path digests_path(const std::filesystem::path& run, const std::string& set);
std::filesystem::path arrays_path(const std::filesystem::path& run, const std::string& set);

void write_digests(const std::filesystem::path& path, const std::vector<std::string>& digests);
// Throws Error(Data) for lines that are no SHA-256; `name` is the path in messages.
std::vector<std::string> parse_digests(std::string_view text, const std::string& name);
std::vector<std::string> read_digests(const std::filesystem::path& path);

// SHA-256 of a file's bytes. Throws Error(Data) where it cannot be read.
std::string sha256_of_file(const std::filesystem::path& path);

void write_results(const std::filesystem::path& out, const Results& results);  // results.json, results.md

// Throws Error(Data), with the first image's reason, for a set none of whose images could be scored.
void require_usable_images(const SetInfo& info);

// To stdout: results.json, or the table; `out` is named below it unless it is empty.
void print_results(const Results& results, bool json, const std::string& out);
// Says how many images could not be used and returns the exit code for it.
int report_excluded(int64_t excluded, const std::string& out);

// A run as it lies in its folder: results.json, and the scores of every set.
struct StoredRun {
    Results results;
    std::vector<ScoredSet> sets;  // in the order of results.sets
};
// Throws Error(Data) for a folder without results.json.
void require_run_folder(const std::filesystem::path& run);
// Throws Error(Usage) where an output would be one of the run's own files, --force or not.
void require_no_file_of_run(const std::filesystem::path& out, const std::filesystem::path& run);
// Throws Error(Data) for files that are missing, damaged, or do not belong together.
ScoreTable read_score_table(const std::filesystem::path& path, const std::vector<MethodInfo>& methods);
// The same of a set, which must have the scores of as many images as results.json says.
ScoreTable read_set_table(const std::filesystem::path& run, const SetInfo& info,
                          const std::vector<MethodInfo>& methods);
StoredRun read_run(const std::filesystem::path& run);

}  // namespace gs
