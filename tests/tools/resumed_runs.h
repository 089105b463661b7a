// Runs that are stopped and go on, beside one that was not.
#pragma once

#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "tests/tools/demo_images.h"

namespace gs::test {

class ResumedRuns : public DemoImages {
  protected:
    // A scoring run of many small groups of images, in a folder of its own below root_, so that all of them
    // have the same words: FOLDER/run.
    Words words(const Words& more = {}) const {
        Words all{"score",
                  "--weights",
                  demo_weights(),
                  "--id",
                  "figures=folder:../images/id",
                  "--ood",
                  "noise=synthetic:64:size=32",
                  "--ood",
                  "shapes=folder:../images/ood-shapes",
                  "--methods",
                  "msp,gradnorm",
                  "--save",
                  "logits,features",
                  "--resize",
                  "16x16",
                  "--crop",
                  "none",
                  "--threads",
                  "1",
                  "--batch",
                  "8",
                  "--quiet",
                  "--resume",
                  "--out",
                  "run"};
        return with(all, more);
    }

    RunOptions in(const std::string& folder, const RunOptions& options) const {
        fs::create_directories(root_ / folder);
        RunOptions here = options;
        here.folder = root_ / folder;
        return here;
    }
    RunOptions in(const std::string& folder) const { return in(folder, options_); }

    // Kills it after so many seconds, and says whether it was still there.
    bool kill_after(double seconds, const Words& command, RunOptions options) const {
        options.seconds = seconds;
        Words all{command_};
        all.insert(all.end(), command.begin(), command.end());
        const Ran ran = run_command(all, options);
        EXPECT_TRUE(ran.signal == SIGKILL || ran.code == 0) << ran.err;
        return ran.signal == SIGKILL;
    }

    // What may differ is listed in docs/file-formats.md: times.
    static nlohmann::json without_times(const std::string& text, bool any_words) {
        nlohmann::json json = parse_json(text);
        for (const char* time : {"started", "resumed", "wall_seconds", "images_per_second"})
            EXPECT_EQ(json["run"].erase(time), 1u) << time;
        if (any_words) json["run"].erase("command");
        return json;
    }
    static std::string without_times_md(const std::string& text) {
        std::istringstream in(text);
        std::string kept;
        for (std::string line; std::getline(in, line);)
            if (!line.starts_with("| started ") && !line.starts_with("| took ") &&
                !line.starts_with("| resumed "))
                kept += line + '\n';
        return kept;
    }

    // `any_words`: begun by other words (--force), which results tell.
    void expect_same_run(const fs::path& got, const fs::path& want, bool any_words = false) const {
        const std::vector<std::string> files = files_below(root_ / want);
        EXPECT_EQ(files_below(root_ / got), files);
        for (const std::string& file : files) {
            SCOPED_TRACE(file);
            const std::string a = content(root_ / got / file), b = content(root_ / want / file);
            if (file == "results.json")
                EXPECT_EQ(without_times(a, any_words).dump(1), without_times(b, any_words).dump(1));
            else if (file == "results.md" && any_words)
                EXPECT_EQ(a.substr(0, a.find("## Run")), b.substr(0, b.find("## Run")));
            else if (file == "results.md")
                EXPECT_EQ(without_times_md(a), without_times_md(b));
            else
                EXPECT_TRUE(a == b) << "other bytes";
        }
    }
};

}  // namespace gs::test
