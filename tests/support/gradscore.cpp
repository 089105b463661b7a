#include "tests/support/gradscore.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "tests/support/json.h"

namespace gs::test {

std::string content(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file) << path << " is not there";
    return {std::istreambuf_iterator<char>(file), {}};
}

void write(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream file(path, std::ios::binary);
    file << text;
    ASSERT_TRUE(file.flush()) << path;
}

std::vector<std::string> files_below(const fs::path& folder) {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder))
        if (!entry.is_directory()) files.push_back(fs::relative(entry.path(), folder).string());
    std::sort(files.begin(), files.end());
    return files;
}

GradscoreTest::GradscoreTest() {
    ::umask(022);  // some tests look at a folder as another user
    std::string name = (fs::temp_directory_path() / "gs_cli_XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    options_.folder = root_;
    // On the CPU, whatever is there: what the tests compare by the byte is promised of it.
    options_.environment = {
        {"LC_ALL", "C.UTF-8"}, {"OMP_WAIT_POLICY", "passive"}, {"CUDA_VISIBLE_DEVICES", ""}};
}

GradscoreTest::~GradscoreTest() {
    std::error_code error;
    fs::remove_all(root_, error);
}

Words GradscoreTest::with(Words all, const Words& more) {
    for (size_t i = 0; i < more.size(); ++i) {
        const auto same = std::find(all.begin(), all.end(), more[i]);
        if (same == all.end() || !more[i].starts_with("--"))
            all.push_back(more[i]);
        else if (i + 1 < more.size())
            *std::next(same) = more[++i];
    }
    return all;
}

Ran GradscoreTest::run(const Words& arguments, const RunOptions& options) const {
    Words words{command_};
    words.insert(words.end(), arguments.begin(), arguments.end());
    Ran ran = run_command(words, options);
    EXPECT_FALSE(ran.timed_out) << "gradscore hangs";
    return ran;
}

Ran GradscoreTest::score(const Words& words, int code) const {
    Words all{"score"};
    if (std::find(words.begin(), words.end(), "--weights") == words.end() &&
        std::find(words.begin(), words.end(), "--config") == words.end())
        all.insert(all.end(), {"--weights", demo_weights()});
    all.insert(all.end(), words.begin(), words.end());
    Ran ran = run(all);
    EXPECT_EQ(ran.code, code) << ran.err;
    return ran;
}

void GradscoreTest::expect_refusal(const Words& words, int code, const std::vector<std::string>& parts,
                                   const RunOptions& options) const {
    const Ran ran = run(words, options);
    EXPECT_EQ(ran.code, code) << ran.err;
    EXPECT_EQ(ran.out, "");
    EXPECT_THAT(ran.error_lines(), testing::SizeIs(1)) << ran.err;
    EXPECT_TRUE(ran.err.starts_with("gradscore: ")) << ran.err;
    for (const std::string& part : parts) EXPECT_THAT(ran.err, testing::HasSubstr(part));
}

RunOptions GradscoreTest::with_fault(const std::vector<std::pair<std::string, std::string>>& fault) const {
    RunOptions options = options_;
    options.environment.emplace_back("LD_PRELOAD", faults_library());
    for (const auto& [name, value] : fault) options.environment.emplace_back("GS_FAULT_" + name, value);
    return options;
}

std::string GradscoreTest::csv(const std::string& run, const std::string& set) const {
    return content(root_ / run / "scores" / (set + ".csv"));
}

ScoreTable GradscoreTest::table(const std::string& run, const std::string& set) const {
    return read_scores_csv(root_ / run / "scores" / (set + ".csv"));
}

nlohmann::json GradscoreTest::results(const std::string& run) const {
    return read_json(root_ / run / "results.json");
}

std::string GradscoreTest::demo_weights() {
    return std::string(GS_SOURCE_DIR) + "/demo/resnet8_shapes.safetensors";
}

}  // namespace gs::test
