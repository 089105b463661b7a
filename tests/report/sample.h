// A small run with known figures, for the tests of this folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "report/results.h"

namespace gs::test {

inline ScoredSet scored_set(const std::string& name, SetRole role, std::vector<std::vector<double>> scores) {
    ScoredSet set;
    set.info.name = name;
    set.info.description = "folder:/data/" + name;
    set.info.role = role;
    set.info.scored = set.info.total = scores.empty() ? 0 : int64_t(scores[0].size());
    set.scores = std::move(scores);
    return set;
}

// first, first + step, …
inline std::vector<double> steps(double first, double step, int count) {
    std::vector<double> values;
    for (int k = 0; k < count; ++k) values.push_back(first + step * k);
    return values;
}

inline RunInfo sample_run() {
    RunInfo run;
    run.gradscore_version = "0.1.0";
    run.command = "gradscore score --id \"a|b\"";
    run.net = "mobilenet-v2";
    run.family = "mobilenet_v2";
    run.classes = 1000;
    run.weights_path = "w/net.pth";
    run.weights_sha256 = "ab12";
    run.weights_format = "pytorch-zip";
    run.preprocess = "short side 256, crop 224";
    run.device = "cpu";
    run.precision = "f32";
    run.threads = 2;
    run.batch = 8;
    run.seed = 18446744073709551615u;
    run.started = "2026-11-21T08:27:17Z";
    run.wall_seconds = 73.25;
    run.images_per_second = 41.2;
    run.libraries = {{"oneDNN", "2.6.3"}};
    run.notices = {"3 files of other kinds ignored"};
    return run;
}

// msp separates dtd fairly, energy better; 40 ID and 20 OOD images. Two images of the set "sun" were
// excluded.
inline std::vector<ScoredSet> sample_sets() {
    ScoredSet id = scored_set("imagenet", SetRole::Id, {steps(0.25, 0.5, 40), steps(0.25, 0.5, 40)});
    id.info.labelled = true;
    id.info.accuracy = 0.825;
    ScoredSet dtd = scored_set("dtd", SetRole::Ood, {steps(0, 1, 20), steps(-5, 0.5, 20)});
    ScoredSet sun = scored_set("sun", SetRole::Ood, {steps(-2, 0.5, 20), steps(-2, 0.25, 20)});
    sun.info.total = 22;
    sun.info.excluded = 2;
    sun.info.failures = {{"a/b.jpg", "data run out before the last row"}, {"c.png", "no PNG"}};
    return {id, dtd, sun};
}

inline std::vector<MethodInfo> sample_methods() {
    return {{"msp", {{"temperature", "1"}}}, {"energy:temperature=2", {{"temperature", "2"}}}};
}

inline Results sample_results() {
    return summarise(sample_run(), sample_methods(), sample_sets());
}

// An empty folder of this test's own, removed at the end.
class TemporaryFolder {
  public:
    explicit TemporaryFolder(const std::string& name)
        : path_(std::filesystem::path(GS_BINARY_DIR) / "tmp" / name) {
        std::filesystem::remove_all(path_);
        std::filesystem::create_directories(path_);
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

}  // namespace gs::test
