// gradscore report: from run folders to the page and its pictures.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>

#include "data/image.h"
#include "tests/tools/demo_images.h"
#include "tools/encode_image.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

// The bytes behind a data URI's base64.
std::vector<std::byte> decoded(const std::string& text) {
    static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::vector<std::byte> bytes;
    uint32_t group = 0;
    int bits = 0;
    for (const char c : text.substr(0, text.find('='))) {
        group = group << 6 | static_cast<uint32_t>(digits.find(c));
        bits += 6;
        if (bits >= 8) bytes.push_back(static_cast<std::byte>(group >> (bits -= 8) & 255));
    }
    return bytes;
}

class ReportTest : public DemoImages {
  protected:
    void make_run(const std::string& out, const std::string& methods = "msp,gradnorm") {
        score({"--id", kId, "--ood", kTextures, "--ood", kShapes, "--methods", methods, "--out", out,
               "--quiet"});
    }
    Ran report(const Words& words, int code = 0) {
        Words all{"report"};
        all.insert(all.end(), words.begin(), words.end());
        Ran ran = run(all);
        EXPECT_EQ(ran.code, code) << ran.err;
        return ran;
    }
    // Sizes of the thumbnails, which are JPEGs that can be read.
    std::vector<Size> thumbnails(const std::string& page) {
        const std::regex regex("href=\"data:image/jpeg;base64,([^\"]*)\"");
        std::vector<Size> sizes;
        for (auto at = std::sregex_iterator(page.begin(), page.end(), regex); at != std::sregex_iterator();
             ++at) {
            const Image image = decode_image(decoded((*at)[1]));
            sizes.push_back({image.width, image.height});
        }
        return sizes;
    }
};

TEST_F(ReportTest, APageWithThumbnailsAndItsChartsAsFiles) {
    const auto wide = encode_png({400, 100, std::vector<uint8_t>(400 * 100 * 3, 200)});
    write(root_ / "images/ood-shapes/wide.png", {reinterpret_cast<const char*>(wide.data()), wide.size()});
    make_run("run");
    const Ran ran = report({"run", "--thumbnails", "13"});
    EXPECT_THAT(ran.out, AllOf(HasSubstr("report.html"), HasSubstr("report-figures/")));
    EXPECT_EQ(ran.err, "");
    const std::string page = content(root_ / "report.html");
    EXPECT_THAT(page, HasSubstr(results("run")["run"]["weights"]["sha256"].get<std::string>()));
    const std::vector<Size> sizes = thumbnails(page);
    // All 13 and 12 OOD images, and of the 30 of the ID set the hardest 13 of both methods.
    EXPECT_GE(sizes.size(), 38u);
    EXPECT_LE(sizes.size(), 51u);
    EXPECT_THAT(sizes, AllOf(Contains(Size{48, 40}), Contains(Size{96, 24}))) << "shrunk, never enlarged";
    EXPECT_THAT(files_below(root_ / "report-figures"),
                AllOf(SizeIs(11), Contains("roc-textures.svg"), Contains("precision-recall-shapes.svg"),
                      Contains("scores-gradnorm-textures.svg"), Contains("agreement-figures.svg")));
    const nlohmann::json facts =
        parse_json(report({"run", "--out", "b.html", "--json", "--thumbnails", "2"}).out);
    EXPECT_EQ(facts["bytes"], fs::file_size(root_ / "b.html"));
    EXPECT_EQ(facts["thumbnails"], thumbnails(content(root_ / "b.html")).size());
    EXPECT_LE(facts["thumbnails"], 12);
    EXPECT_EQ(facts["charts"], 11);
}

TEST_F(ReportTest, ImagesThatAreGoneAreSaid) {
    make_run("run");
    fs::remove_all(root_ / "images" / "ood-shapes");
    const std::string gone = table("run", "textures").rows[0].path;
    fs::remove(root_ / "images" / "ood-textures" / gone);
    write(root_ / "images" / "ood-textures" / table("run", "textures").rows[11].path, "no image");
    const Ran ran = report({"run"});
    EXPECT_THAT(ran.err, AllOf(HasSubstr("shapes: no pictures, the set cannot be opened any more"),
                               HasSubstr("textures: no picture of 12 of 12 images")));
    EXPECT_THAT(content(root_ / "report.html"), AllOf(HasSubstr("shapes: no pictures"), HasSubstr(gone)));
    // Nothing is opened.
    EXPECT_EQ(report({"run", "--no-thumbnails", "--out", "b.html", "--no-figures"}).err, "");
    EXPECT_THAT(content(root_ / "b.html"), Not(HasSubstr("data:image")));
    EXPECT_FALSE(fs::exists(root_ / "b-figures"));
}

TEST_F(ReportTest, SetsThatMayNotBeReadAreSaid) {
    constexpr size_t kRecord = 1 + 3 * 32 * 32;
    write(root_ / "private/c10/test_batch.bin", std::string(20 * kRecord, '\1'));
    score({"--id", "c=cifar10:private/c10", "--methods", "msp", "--out", "run", "--quiet"});
    fs::permissions(root_, fs::perms::all);
    options_.as_nobody = true;
    if (run({"--version"}).code != 0) GTEST_SKIP() << "another user cannot run the program here";
    for (const char* closed : {"private", "private/c10"}) {
        fs::permissions(root_ / closed, fs::perms::owner_all);
        const Ran ran = report({"run", "--force"});
        EXPECT_THAT(ran.err, AllOf(HasSubstr("c: no pictures, the set cannot be opened any more"),
                                   HasSubstr("Permission denied")));
        fs::permissions(root_ / closed, fs::perms::all);
    }
}

TEST_F(ReportTest, WhereThePageCannotBeWrittenThereAreTheOldFiguresOrNone) {
    make_run("one");
    make_run("two", "gradnorm,energy");
    report({"one"});
    std::map<std::string, std::string> old;
    for (const std::string& file : files_below(root_ / "report-figures"))
        old[file] = content(root_ / "report-figures" / file);
    const auto largest = std::ranges::max_element(old, {}, [](const auto& f) { return f.second.size(); });
    options_.largest_file = 2 * largest->second.size();  // enough for any figure, not for the page
    EXPECT_EQ(run({"report", "two", "--force"}).code, 1);
    EXPECT_EQ(run({"report", "two", "--out", "new.html"}).code, 1);
    EXPECT_FALSE(fs::exists(root_ / "new-figures"));
    std::map<std::string, std::string> now;
    for (const std::string& file : files_below(root_ / "report-figures"))
        now[file] = content(root_ / "report-figures" / file);
    EXPECT_EQ(now, old);
}

TEST_F(ReportTest, RunsSideBySide) {
    make_run("one");
    make_run("two", "gradnorm,energy");
    const Ran same = report({"one", "two", "--out", "same.html"});
    EXPECT_EQ(same.err, "");
    EXPECT_THAT(content(root_ / "same.html"), Not(HasSubstr("must not be set against each other")));
    score({"--id", "figures=folder:images/ood-shapes", "--ood", kTextures, "--methods", "msp", "--out",
           "three", "--quiet"});
    const Ran other = report({"one", "three", "--out", "other.html"});
    EXPECT_THAT(other.err, HasSubstr("not comparable: the ID set of run 2"));
    EXPECT_THAT(content(root_ / "other.html"), HasSubstr("must not be set against each other"));
    EXPECT_TRUE(fs::exists(root_ / "other-figures" / "2-roc-textures.svg"));
}

TEST_F(ReportTest, ScoresThatWereChangedAreSaid) {
    make_run("run");
    const std::string text = csv("run", "shapes");
    const size_t last = text.rfind(',') + 1;
    write(root_ / "run" / "scores" / "shapes.csv", text.substr(0, last) + "1e30\n");
    EXPECT_THAT(report({"run"}).err, HasSubstr("the score files give other values than results.json"));
    EXPECT_THAT(content(root_ / "report.html"), HasSubstr("Score files differ from results.json"));

    write(root_ / "run" / "scores" / "shapes.csv", text.substr(0, text.rfind('\n', text.size() - 2) + 1));
    expect_refusal({"report", "run", "--out", "lost.html"}, 4, {"shapes.csv", "rows were lost"});
    EXPECT_FALSE(fs::exists(root_ / "lost.html"));
}

TEST_F(ReportTest, Refusals) {
    expect_refusal({"report", "nowhere"}, 4, {"nowhere: no run folder", "gradscore score makes one"});
    fs::create_directories(root_ / "empty");
    expect_refusal({"report", "empty"}, 4, {"empty: no run folder"});
    expect_refusal({"report"}, 2, {"runs is required"});
    write(root_ / "empty" / "journal", "");
    expect_refusal({"report", "empty"}, 4, {"empty: an unfinished run", "--resume"});
    fs::remove(root_ / "empty" / "journal");
    make_run("run");
    expect_refusal({"report", "run", "empty"}, 4, {"empty: no run folder"});
    report({"run"});
    expect_refusal({"report", "run"}, 2, {"report.html: exists", "--force"});
    report({"run", "--force"});
    fs::remove(root_ / "report.html");
    const Ran refused = run({"report", "run"});
    EXPECT_EQ(refused.code, 2);
    EXPECT_THAT(refused.err, AllOf(HasSubstr("report-figures: not empty"), HasSubstr("--force to replace"),
                                   Not(HasSubstr("--resume"))));
    expect_refusal({"report", "run", "--out", "empty"}, 2, {"empty: is a folder"});
    expect_refusal({"report", "run", "--thumbnails", "-1"}, 2, {"--thumbnails"});
    fs::remove(root_ / "run" / "scores" / "shapes.csv");
    expect_refusal({"report", "run", "--out", "c.html"}, 4, {"shapes.csv"});
    write(root_ / "run" / "results.json", "{");
    expect_refusal({"report", "run", "--out", "c.html"}, 4, {"results.json"});
    EXPECT_FALSE(fs::exists(root_ / "c.html"));
}

}  // namespace
}  // namespace gs::test
