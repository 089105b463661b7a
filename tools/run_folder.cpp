#include "tools/run_folder.h"

#include <algorithm>
#include <iostream>

#include "core/files.h"
#include "report/results_json.h"
#include "report/table.h"
#include "report/text.h"
#include "tools/score_run.h"
#include "tools/setup.h"

namespace gs {

namespace fs = std::filesystem;

std::vector<std::string> scoring_folders(bool arrays) {
    return arrays ? std::vector<std::string>{"scores", "arrays"} : std::vector<std::string>{"scores"};
}

fs::path scores_path(const fs::path& run, const std::string& set) {
    return run / "scores" / (set + ".csv");
}

fs::path digests_path(const fs::path& run, const std::string& set) {
    return run / "scores" / (set + ".sha256");
}

fs::path arrays_path(const fs::path& run, const std::string& set) {
    return run / "arrays" / (set + ".safetensors");
}

void write_digests(const fs::path& path, const std::vector<std::string>& digests) {
    AtomicFile file(path);
    for (const std::string& digest : digests) file.write(digest + "\n");
    file.commit();
}

std::vector<std::string> parse_digests(std::string_view text, const std::string& name) {
    std::vector<std::string> digests;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        if (line.size() != 64 || line.size() == text.size() ||
            line.find_first_not_of("0123456789abcdef") != line.npos)
            throw Error(ErrorKind::Data,
                        name + ":" + std::to_string(digests.size() + 1) + ": not the SHA-256 of an image");
        digests.emplace_back(line);
        text.remove_prefix(line.size() + 1);
    }
    return digests;
}

std::vector<std::string> read_digests(const fs::path& path) {
    const MappedFile file(path, ErrorKind::Data);
    return parse_digests({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()},
                         path.string());
}

std::string sha256_of_file(const fs::path& path) {
    return sha256_hex(MappedFile(path, ErrorKind::Data).bytes());
}

void write_results(const fs::path& out, const Results& results) {
    write_results_json(out / "results.json", results);
    write_file_atomically(out / "results.md", results_markdown(results));
}

void print_results(const Results& results, bool json, const std::string& out) {
    if (json) {
        std::cout << results_to_json(results);
        return;
    }
    std::cout << results_table(results, {.width = 100, .utf8 = locale_is_utf8()});
    if (out.empty()) return;
    std::cout << "\nScores, settings and metrics: " << out
              << "/ (scores/*.csv, config.toml, results.json, results.md)\n";
}

int report_excluded(int64_t excluded, const std::string& out) {
    return say_excluded(excluded, "listed in " + out + "/results.json");
}

void require_usable_images(const SetInfo& info) {
    if (info.scored > 0) return;
    GS_REQUIRE(!info.failures.empty());
    throw Error(ErrorKind::Data, info.name + ": none of its " + std::to_string(info.total) +
                                     " images could be used; the first: " + info.failures.front().path +
                                     ": " + info.failures.front().reason);
}

ScoreTable read_score_table(const fs::path& path, const std::vector<MethodInfo>& methods) {
    ScoreTable table = read_scores_csv(path);
    bool same = table.methods.size() == methods.size();
    for (size_t m = 0; same && m < methods.size(); ++m) same = table.methods[m] == methods[m].name;
    if (!same)
        throw Error(ErrorKind::Data, path.string() + ": its columns are not the methods of results.json");
    return table;
}

ScoreTable read_set_table(const fs::path& run, const SetInfo& info, const std::vector<MethodInfo>& methods) {
    const fs::path path = scores_path(run, info.name);
    ScoreTable table = read_score_table(path, methods);
    const int64_t scored = std::count_if(table.rows.begin(), table.rows.end(),
                                         [](const ScoreRow& row) { return row.reason.empty(); });
    if (scored != info.scored)
        throw Error(ErrorKind::Data, path.string() + ": has the scores of " + counted(scored, "image") +
                                         ", results.json says " + grouped(info.scored) +
                                         ": rows were lost or added; score the set again");
    return table;
}

void require_no_file_of_run(const std::filesystem::path& out, const std::filesystem::path& run) {
    for (const char* own : {"results.json", "results.md", "config.toml", "journal", "scores", "arrays"})
        if (is_within(out, run / own))
            throw Error(ErrorKind::Usage, "--out " + out.string() + ": is a file of the run " + run.string() +
                                              " itself; choose another");
}

void require_run_folder(const fs::path& run) {
    std::error_code error;
    if (fs::is_regular_file(run / "results.json", error)) return;
    throw Error(
        ErrorKind::Data,
        run.string() + (fs::exists(run / "journal", error)
                            ? ": an unfinished run (it has no results.json); the command that began it "
                              "goes on with --resume"
                            : ": no run folder (it has no results.json); gradscore score makes one"));
}

StoredRun read_run(const fs::path& run) {
    require_run_folder(run);
    StoredRun stored{read_results_json(run / "results.json"), {}};
    for (const SetInfo& info : stored.results.sets)
        stored.sets.push_back({info, read_set_table(run, info, stored.results.methods).columns()});
    return stored;
}

}  // namespace gs
