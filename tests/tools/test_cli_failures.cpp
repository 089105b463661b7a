// Bad images, full disks and places that cannot be written: one line, the right exit code, nothing half-done.
#include <sched.h>
#include <sys/mount.h>

#include <nlohmann/json.hpp>

#include "tests/tools/demo_images.h"
#include "weights/weight_file.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::SizeIs;

class BadImages : public DemoImages {
  protected:
    void truncate(const std::string& path) { fs::resize_file(root_ / path, fs::file_size(root_ / path) / 2); }
};

TEST_F(BadImages, Case09_OneAmongManyIsReportedAndExcluded) {
    score({"--id", kId, "--ood", kShapes, "--out", "good", "--quiet"});
    truncate("images/id/disc/0001.png");
    write(root_ / "images/ood-shapes/0002.png", "");
    write(root_ / "images/ood-shapes/0003.jpg", "<html>404</html>");
    const Ran ran = score({"--id", kId, "--ood", kShapes, "--out", "run"}, 6);
    EXPECT_THAT(ran.err, HasSubstr("3 images could not be used: listed in run/results.json"));
    const nlohmann::json sets = results("run")["sets"];
    EXPECT_EQ(sets[0]["scored"], 29);
    EXPECT_EQ(sets[0]["excluded"], 1);
    EXPECT_EQ(sets[0]["failures"][0]["path"], "disc/0001.png");
    EXPECT_THAT(sets[0]["failures"][0]["reason"].get<std::string>(), HasSubstr("too short"));
    EXPECT_EQ(sets[1]["failures"].size(), 2u);
    EXPECT_EQ(results("run")["metrics"]["msp"]["shapes"]["id_count"], 29);
    EXPECT_EQ(results("run")["metrics"]["msp"]["shapes"]["ood_count"], 10);
    // Every other image has the scores it had.
    const ScoreTable good = table("good", "figures"), bad = table("run", "figures");
    ASSERT_EQ(bad.rows.size(), 30u);
    for (size_t i = 0; i < 30; ++i) {
        EXPECT_EQ(bad.rows[i].path, good.rows[i].path);
        if (bad.rows[i].reason.empty())
            EXPECT_EQ(bad.rows[i].scores, good.rows[i].scores);
        else
            EXPECT_EQ(bad.rows[i].path, "disc/0001.png");
    }
    const Ran metrics = run({"metrics", "run", "--json"});
    EXPECT_EQ(parse_json(metrics.out), results("run"));
}

TEST_F(BadImages, StrictStopsAtTheFirstAndKeepsTheSetsBefore) {
    truncate("images/ood-shapes/0001.png");
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--ood", kTextures, "--ood", kShapes,
                    "--strict", "--quiet", "--out", "run"},
                   4, {"shapes", "0001.png", "too short", "--strict"});
    EXPECT_THAT(files_below(root_ / "run"),
                testing::ElementsAre("config.toml", "journal", "results.json", "results.md",
                                     "scores/figures.csv", "scores/textures.csv"));
    EXPECT_EQ(results("run")["sets"].size(), 2u);
    EXPECT_THAT(results("run")["run"]["notices"].dump(), HasSubstr("stopped"));
    EXPECT_EQ(run({"metrics", "run"}).code, 0);
}

TEST_F(BadImages, ASetWithoutAUsableImageEndsTheRun) {
    fs::create_directories(root_ / "bad");
    for (const char* name : {"a.png", "b.png"}) write(root_ / "bad" / name, "no image");
    expect_refusal({"score", "--weights", demo_weights(), "--id", kId, "--ood", "b=folder:bad", "--quiet",
                    "--out", "run"},
                   4, {"b: none of its 2 images", "a.png"});
    EXPECT_EQ(table("run", "b").rows.size(), 2u);
    EXPECT_EQ(results("run")["sets"].size(), 1u);
}

TEST_F(BadImages, Case11_EmptyFoldersAndLists) {
    fs::create_directories(root_ / "empty/sub");
    write(root_ / "empty.txt", "");
    write(root_ / "empty.bin", "");
    for (const char* set : {"e=folder:empty", "e=list:empty.txt", "e=cifar10:empty.bin"})
        expect_refusal({"score", "--weights", demo_weights(), "--id", set, "--out", "run"}, 4, {"empty"});
    write(root_ / "empty/notes.txt", "x");
    expect_refusal({"score", "--weights", demo_weights(), "--id", "e=folder:empty", "--out", "run"}, 4,
                   {"empty", ".jpg"});
    write(root_ / "wrong.txt", "images/id/cross/0000.png 2\nimages/id/cross/none.png 2\n");
    const Ran ran = score({"--id", "l=list:wrong.txt", "--out", "list", "--quiet"}, 6);
    EXPECT_THAT(results("list")["sets"][0]["failures"][0]["path"], "images/id/cross/none.png");
}

TEST_F(BadImages, MaxPixels) {
    write(root_ / "list.txt", "images/id/cross/0000.png 2\n");
    expect_refusal({"score", "--weights", demo_weights(), "--id", "l=list:list.txt", "--max-pixels", "1919",
                    "--out", "run", "--quiet"},
                   4, {"48x40", "--max-pixels"});
    score({"--id", "l=list:list.txt", "--max-pixels", "1920", "--out", "other", "--quiet"});
}

// Names of files are not ours: a terminal must not obey them.
TEST_F(BadImages, NamesDoNotReachTheTerminal) {
    ASSERT_EQ(run({"fit", "--weights", demo_weights(), "--id", kId, "--methods", "nac:images=20", "--out",
                   "good.safetensors", "--quiet"})
                  .code,
              0);
    write(root_ / "images/id/disc/a\x1b]0;b.png", "no image");
    const Words common{"--weights", demo_weights(), "--id", kId, "--quiet", "--out"};
    for (Words words : {Words{"fit", "--methods", "klm"},
                        {"search", "--stats", "good.safetensors", "--allow-fit-on-test", "--ood", kShapes}}) {
        words.insert(words.end(), common.begin(), common.end());
        words.push_back(words[0] == "fit" ? "f.safetensors" : "f.json");
        const Ran ran = run(words);
        EXPECT_EQ(ran.code, 6) << ran.err;
        EXPECT_THAT(ran.err, HasSubstr("disc/a\\x1b]0;b.png"));
        EXPECT_THAT(ran.err + ran.out, testing::Not(HasSubstr("\x1b")));
    }
}

TEST_F(BadImages, PathsThatCannotBeLookedAt) {
    fs::create_directory_symlink("loop", root_ / "loop");
    const std::string too_long(300, 'a');
    for (const std::string& path : {std::string("loop"), too_long})
        for (const char* kind : {"folder", "list", "cifar10", "npy", "svhn"})
            expect_refusal({"score", "--weights", demo_weights(), "--id",
                            "x=" + std::string(kind) + ":" + path, "--out", "run"},
                           4, {path});
    expect_refusal({"score", "--weights", demo_weights(), "--id", "cifar10:" + too_long, "--out", "run"}, 4,
                   {"File name too long"});
    expect_refusal({"merge", "out.safetensors", too_long}, 4, {"File name too long"});
    expect_refusal({"train", too_long, "--id", kId, "--out", "run"}, 2, {"neither a file nor one of"});
}

class FullDisk : public DemoImages {
  protected:
    // Everything that stands there is whole, and no temporary is left.
    void expect_whole(const fs::path& folder) const {
        for (const std::string& file : files_below(folder)) {
            const fs::path path = folder / file;
            if (path.filename() == "journal") continue;  // grows, and is cut where it is torn
            EXPECT_THAT((std::vector<std::string>{".csv", ".json", ".md", ".toml", ".safetensors"}),
                        Contains(path.extension().string()))
                << "a temporary is left: " << file;
            if (path.extension() == ".csv") {
                EXPECT_EQ(read_scores_csv(path).rows.size() % 3, 0u) << file;
            } else if (path.extension() == ".safetensors") {
                EXPECT_NO_THROW(read_weights(path)) << file;
            } else if (path.extension() == ".toml") {
                EXPECT_THAT(content(path), HasSubstr("strict = ")) << file;
            }
        }
    }
};

TEST_F(FullDisk, Case13_WhereverItStrikes) {
    score({"--id", kId, "--ood", kShapes, "--out", "earlier", "--quiet"});
    const std::string earlier = csv("earlier", "figures");
    // config.toml is about 400 bytes, a CSV of 30 rows 3 kB, its arrays 13 kB.
    for (const rlim_t limit : {0, 100, 1000, 2000, 6000, 10000}) {
        const std::string out = "run" + std::to_string(limit);
        options_.largest_file = limit;
        const Ran ran = run({"score", "--weights", demo_weights(), "--id", kId, "--ood", kShapes, "--save",
                             "features,taps", "--quiet", "--out", out});
        options_.largest_file.reset();
        EXPECT_EQ(ran.code, 1) << limit << ran.err;
        EXPECT_THAT(ran.error_lines(), SizeIs(1)) << ran.err;
        EXPECT_THAT(ran.err, AllOf(HasSubstr(out + "/"), HasSubstr("cannot write: File too large")));
        expect_whole(root_ / out);
    }
    EXPECT_EQ(csv("earlier", "figures"), earlier);
}

TEST_F(FullDisk, Case13_AnEarlierRunIsMovedAsideWhole) {
    score({"--id", kId, "--out", "run", "--quiet"});
    const std::string before = csv("run", "figures");
    options_.largest_file = 1000;
    EXPECT_EQ(
        run({"score", "--weights", demo_weights(), "--id", kId, "--quiet", "--out", "run", "--force"}).code,
        1);
    EXPECT_EQ(csv("run.old1", "figures"), before);
    EXPECT_EQ(results("run.old1")["sets"][0]["scored"], 30);
    expect_whole(root_ / "run");
}

TEST_F(FullDisk, ConvertLeavesTheOldFile) {
    ASSERT_EQ(run({"convert", demo_weights(), "w.safetensors"}).code, 0);
    const std::string before = content(root_ / "w.safetensors");
    options_.largest_file = 5000;
    expect_refusal({"convert", demo_weights(), "w.safetensors", "--force"}, 1,
                   {"w.safetensors", "cannot write"});
    expect_refusal({"convert", demo_weights(), "new.safetensors"}, 1, {"new.safetensors", "cannot write"});
    EXPECT_EQ(content(root_ / "w.safetensors"), before);
    EXPECT_FALSE(fs::exists(root_ / "new.safetensors"));
}

TEST_F(FullDisk, StdoutIsFullToo) {
    const auto to_full = [&](const std::string& arguments) {
        return run_command({"sh", "-c", std::string("exec ") + GS_COMMAND + " " + arguments + " >/dev/full"},
                           options_);
    };
    for (const char* command : {"--version", "--list-methods", "devices", "plan --net resnet20-cifar"}) {
        const Ran ran = to_full(command);
        EXPECT_EQ(ran.code, 1) << command;
        EXPECT_THAT(ran.error_lines(), SizeIs(1)) << ran.err;
        EXPECT_THAT(ran.err, HasSubstr("standard output"));
    }
    EXPECT_EQ(to_full("score --weights " + demo_weights() + " --id " + kId + " --quiet --out run").code, 1);
    EXPECT_EQ(results("run")["sets"][0]["scored"], 30) << "the run itself is whole";
}

// A file system that is really full: ENOSPC. Needs the right to mount.
TEST_F(FullDisk, Case13_ASmallFileSystem) {
    const fs::path disk = root_ / "disk";
    fs::create_directories(disk);
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=16k") != 0)
        GTEST_SKIP() << "may not mount a file system here";
    const Ran ran = run({"score", "--weights", demo_weights(), "--id", kId, "--ood", kShapes, "--save",
                         "logits,features,taps", "--quiet", "--out", "disk/run"});
    EXPECT_EQ(ran.code, 1) << ran.err;
    EXPECT_THAT(ran.error_lines(), SizeIs(1));
    EXPECT_THAT(ran.err, HasSubstr("No space left on device"));
    expect_whole(disk);
    ::umount(disk.c_str());
}

class Unwritable : public DemoImages {};

TEST_F(Unwritable, OutputThatIsAFile) {
    write(root_ / "file", "mine");
    const Words words{"score", "--weights", demo_weights(), "--id", kId, "--quiet", "--out"};
    const auto with = [&](const std::string& out) {
        Words all = words;
        all.push_back(out);
        return all;
    };
    expect_refusal(with("file"), 2, {"file", "no folder"});
    expect_refusal(with("file/run"), 1, {"file/run", "Not a directory"});
    expect_refusal(with("/proc/run"), 1, {"/proc/run", "cannot create"});
    EXPECT_EQ(content(root_ / "file"), "mine");
}

TEST_F(Unwritable, Case13_ReadOnlyFolders) {
    fs::create_directories(root_ / "locked");
    fs::permissions(root_, fs::perms::owner_all | fs::perms::others_read | fs::perms::others_exec |
                               fs::perms::group_read | fs::perms::group_exec);
    fs::permissions(root_ / "locked", fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read |
                                          fs::perms::others_exec);
    write(root_ / "w.safetensors", content(demo_weights()));
    fs::permissions(root_ / "w.safetensors", fs::perms(0644));
    options_.as_nobody = true;
    if (run({"--version"}).code != 0) GTEST_SKIP() << "another user cannot run the program here";
    const Words words{"score", "--weights", "w.safetensors", "--id", kId, "--quiet", "--out"};
    for (const char* out : {"locked/run", "locked"}) {
        Words all = words;
        all.push_back(out);
        expect_refusal(all, 1, {"locked", "Permission denied"});
    }
    EXPECT_TRUE(fs::is_empty(root_ / "locked"));
    expect_refusal({"convert", "w.safetensors", "locked/w.safetensors"}, 1,
                   {"locked/w.safetensors", "Permission denied"});
    fs::permissions(root_ / "images/id/cross", fs::perms::none);
    expect_refusal({"score", "--weights", "w.safetensors", "--id", kId, "--out", "locked/x"}, 4,
                   {"images/id", "Permission denied"});
    fs::permissions(root_ / "images/id/cross", fs::perms::owner_all);
}

}  // namespace
}  // namespace gs::test
