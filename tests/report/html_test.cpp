#include "report/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "core/numbers.h"
#include "metrics/threshold.h"
#include "report/assets.h"
#include "report/base64.h"
#include "report/chart.h"
#include "report/conventions.h"
#include "report/text.h"
#include "tests/report/run_report_sample.h"
#include "tests/support/json.h"

namespace gs {
namespace {

using test::sample_page;
using test::sample_report;
using test::scored_set;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
    const std::regex regex(pattern);
    std::vector<std::string> found;
    for (auto at = std::sregex_iterator(text.begin(), text.end(), regex); at != std::sregex_iterator(); ++at)
        found.push_back((*at)[1]);
    return found;
}

// By hand: std::regex goes a stack frame deeper for every character.
std::string without_elements(std::string text, const std::string& tag) {
    const std::string end = "</" + tag + ">";
    for (size_t at = 0; (at = text.find("<" + tag, at)) != std::string::npos;) {
        const size_t last = text.find(end, at);
        if (last == std::string::npos) break;
        text.erase(at, last + end.size() - at);
    }
    return text;
}

size_t count_of(const std::string& text, const std::string& part) {
    size_t count = 0;
    for (size_t at = 0; (at = text.find(part, at)) != text.npos; at += part.size()) ++count;
    return count;
}

nlohmann::json data_of(const std::string& page) {
    const std::string start = "<script type=\"application/json\" id=\"data\">";
    const size_t at = page.find(start) + start.size();
    return test::parse_json(page.substr(at, page.find("</script>", at) - at));
}

TEST(ReportPage, NeedsNothingElse) {
    const std::string page = sample_page({sample_report()});
    for (const char* outside : {"http://", "https://", "<link", "@import", "url(", "src="})
        EXPECT_THAT(page, Not(HasSubstr(outside)));
    EXPECT_THAT(page, HasSubstr("default-src &#39;none&#39;"));
    EXPECT_THAT(page, HasSubstr("sha256-" + base64(sha256_of(page_js_asset()))));
    EXPECT_THAT(page, HasSubstr("<script>" + std::string(page_js_asset()) + "</script>"));
    EXPECT_EQ(std::string(page_js_asset()).find("</script"), std::string::npos);
    EXPECT_THAT(page, HasSubstr("prefers-color-scheme:dark"));
    EXPECT_THAT(page, HasSubstr("width=device-width"));
}

TEST(ReportPage, ElementsAreClosedAndIdsUnique) {
    RunReport second = sample_report();
    const std::string page = sample_page({sample_report(), std::move(second)});
    std::vector<std::string> open;
    const std::set<std::string> empty{"meta",   "input", "!doctype", "line", "path",
                                      "circle", "rect",  "image",    "use",  "br"};
    std::string text = page;
    for (const std::string tag : {"script", "style"}) text = without_elements(text, tag);
    for (const std::string& tag : matches(text, "<(/?[!a-z0-9]+)[^>]*>")) {
        if (empty.contains(tag)) continue;
        if (tag[0] != '/') {
            open.push_back(tag);
            continue;
        }
        ASSERT_FALSE(open.empty()) << tag;
        ASSERT_EQ("/" + open.back(), tag);
        open.pop_back();
    }
    EXPECT_THAT(open, IsEmpty());
    std::vector<std::string> ids = matches(text, " id=\"([^\"]*)\"");
    const std::set<std::string> unique(ids.begin(), ids.end());
    EXPECT_EQ(ids.size(), unique.size());
    for (const std::string& name : matches(text, "aria-labelledby=\"([^\" ]*)"))
        EXPECT_TRUE(unique.contains(name));
    for (const std::string& name : matches(text, "for=\"([^\"]*)\"")) EXPECT_TRUE(unique.contains(name));
}

// Every figure of results.json stands in the page, as its text and to the last digit.
TEST(ReportPage, FiguresAreThoseOfTheResults) {
    const RunReport report = sample_report();
    const std::string page = sample_page({report});
    const auto data = data_of(page);
    for (const auto* list : {&report.results.metrics, &report.results.averages})
        for (const MethodMetrics& m : *list) {
            const size_t method = m.method == "msp" ? 0 : 1;
            const std::string set = m.ood.empty() ? "average" : m.ood == "dtd" ? "0" : "1";
            const auto& figures = data["runs"][0]["methods"][method]["figures"][set];
            for (size_t f = 0; f < metric_fields().size(); ++f) {
                const double value = m.metrics.*metric_fields()[f].value;
                EXPECT_EQ(data["fields"][f], metric_fields()[f].name);
                EXPECT_EQ(figures[f][0], percent(value));
                EXPECT_EQ(figures[f][1].get<double>(), value);
                EXPECT_THAT(
                    page, HasSubstr("data-field=\"" + std::string(metric_fields()[f].name) + "\" data-v=\"" +
                                    shortest(value) + "\">" + percent(value) + "</td>"));
            }
            EXPECT_THAT(
                page, HasSubstr("data-v=\"" + shortest(m.metrics.auroc) + "\">" + percent(m.metrics.auroc)));
        }
}

TEST(ReportPage, EveryConventionIsAFigure) {
    std::set<std::string_view> fields;
    for (const MetricField& f : metric_fields()) fields.insert(f.name);
    for (const Convention& c : kFprConventions) EXPECT_TRUE(fields.erase(c.field)) << c.field;
    for (const Convention& c : kAuprConventions) EXPECT_TRUE(fields.erase(c.field)) << c.field;
    for (const Convention& c : kOtherFigures) EXPECT_TRUE(fields.erase(c.field)) << c.field;
    EXPECT_THAT(fields, IsEmpty());
    const std::string page = sample_page({sample_report()});
    for (const MetricField& f : metric_fields())
        EXPECT_THAT(page, HasSubstr("<li><code>" + std::string(f.name) + "</code>: "));
}

// The counts of an average are sums over the sets: no number of images that anybody has.
TEST(ReportPage, AveragesHaveNoCounts) {
    const std::string page = sample_page({sample_report()});
    const std::string counts = "<td class=\"number\">40</td><td class=\"number\">20</td>",
                      none = "<td class=\"number\">–</td>";
    EXPECT_EQ(count_of(page, counts + "<td class=\"number\">0</td>"), 2 * 2u) << "methods by sets";
    EXPECT_EQ(count_of(page, none + none + none + "</tr>"), 2u) << "a row a method";
}

// At the threshold of 95 % the counts give the metric of that name.
TEST(ReportPage, ThresholdsHaveTheCountsOfTheScores) {
    const RunReport report = sample_report();
    const auto method = data_of(sample_page({report}))["runs"][0]["methods"][1];
    const size_t at = method["at95"];
    const double fpr = method["accepted"][1][at].get<double>() / method["scores"][1].get<double>();
    EXPECT_EQ(fpr, report.results.find("energy:temperature=2", "dtd")->metrics.fpr95_first);
    EXPECT_EQ(method["scores"], (nlohmann::json{40, 20, 20}));
}

// The number that is shown accepts the images it is shown with, however close the scores are.
TEST(ReportPage, ThresholdsCanBeReadOffThePage) {
    auto sets = test::sample_sets();
    for (auto& set : sets) {
        auto& column = set.scores[0];
        for (size_t k = 0; k < column.size(); ++k) column[k] = 1 - 1.7e-9 * double(k) - 1e-10 * column[k];
        set.scores[1] = test::steps(1.0 / 3, 1.0 / 7, int(column.size()));
    }
    const auto data = data_of(sample_page({sample_report(sets)}));
    ASSERT_THAT(data["runs"][0]["methods"], SizeIs(2));
    for (const auto& method : data["runs"][0]["methods"]) {
        const size_t m = method["key"];
        const std::vector<double> thresholds = method["thresholds"];
        EXPECT_GT(thresholds.size(), 20u);
        size_t digits = 0;
        for (size_t k = 0; k < thresholds.size(); ++k) {
            for (size_t s = 0; s < sets.size(); ++s)
                EXPECT_EQ(count_accepted(sets[s].scores[m], thresholds[k]).accepted,
                          method["accepted"][s][k]);
            digits = std::max(digits, shortest(thresholds[k]).size());
        }
        EXPECT_LE(digits, m == 0 ? 13u : 7u) << "no more digits than needed";
    }
}

// What the button beside the threshold says must be true.
TEST(ReportPage, SaysWhereNoThresholdAccepts95Percent) {
    auto sets = test::sample_sets();
    const std::string note = "No threshold accepts 95 % of the ID images";
    std::fill(sets[0].scores[0].begin(), sets[0].scores[0].begin() + 2, -INFINITY);
    EXPECT_THAT(sample_page({sample_report(sets)}), Not(HasSubstr(note)));
    std::fill(sets[0].scores[0].begin(), sets[0].scores[0].begin() + 3, -INFINITY);
    const std::string page = sample_page({sample_report(sets)});
    EXPECT_EQ(count_of(page, note), 1u);
    const auto methods = data_of(page)["runs"][0]["methods"];
    EXPECT_FALSE(methods[0]["reaches95"].get<bool>());
    EXPECT_TRUE(methods[1]["reaches95"].get<bool>());
}

TEST(ReportPage, HardestImagesAreTheLowestOfIdAndTheHighestOfOod) {
    const RunReport report = sample_report();
    EXPECT_EQ(report.methods[0].hardest[0][0].path, "imagenet/0.jpg");
    EXPECT_EQ(report.methods[0].hardest[0][11].score, 0.25 + 0.5 * 11);
    EXPECT_EQ(report.methods[0].hardest[1][0].path, "dtd/19.jpg");
    EXPECT_THAT(report.methods[0].hardest[2], SizeIs(12));
    EXPECT_THAT(sample_page({report}), HasSubstr("<bdi>dtd/19.jpg</bdi>"));
}

// Names, paths and notices are anybody's: none becomes markup, in any part of the page or of a picture.
TEST(ReportPage, NothingOfARunIsMarkup) {
    const std::string evil = "</script><script>alert('1')</script><img src=x onerror=\"alert(2)\">&amp;";
    auto sets = test::sample_sets();
    for (auto& set : sets) {
        set.info.name += evil;
        set.info.description = set.info.digest = evil;
        for (auto& failure : set.info.failures) failure.path = failure.reason = evil;
    }
    auto methods = test::sample_methods();
    for (auto& method : methods) {
        method.name += evil;
        method.options = {{evil, evil}};
    }
    RunInfo info = test::sample_run();
    for (std::string* text : {&info.command, &info.net, &info.family, &info.weights_path,
                              &info.weights_sha256, &info.weights_format, &info.preprocess, &info.device,
                              &info.precision, &info.stopped, &info.started, &info.gradscore_version})
        *text = evil;
    info.libraries = info.statistics = {{evil, evil}};
    info.notices = info.invalid_protocol = {evil};
    RunReport report = sample_report(sets, methods, info, evil);
    report.results.warnings.push_back({evil, evil, evil, evil});
    report.differences = report.no_thumbnails = {evil};
    report.thumbnails.push_back({0, 0, 8, 8, {std::byte{1}}});
    std::vector<RunReport> runs{report, report};
    const auto figures = report_figures(runs);
    const std::string page = sample_page(std::move(runs));
    EXPECT_EQ(count_of(page, "<script"), 2u);
    EXPECT_EQ(count_of(page, "</script"), 2u);
    EXPECT_THAT(page, Not(HasSubstr("<img")));
    const std::string shown = page.substr(0, page.find("<script"));  // what follows is JSON
    EXPECT_THAT(shown, Not(HasSubstr("alert('")));
    EXPECT_THAT(shown, Not(HasSubstr("onerror=\"")));
    EXPECT_GT(count_of(page, "&lt;script&gt;"), 20u);
    for (const FigureFile& figure : figures) {
        EXPECT_EQ(figure.name.find_first_not_of(
                      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"),
                  std::string::npos);
        EXPECT_THAT(figure.svg, Not(HasSubstr("<script")));
        EXPECT_THAT(figure.svg, Not(HasSubstr("<img")));
    }
}

TEST(ReportPage, FiguresHaveNamesOfTheirOwn) {
    auto sets = test::sample_sets();
    sets[1].info.name = "a b";
    sets[2].info.name = "a/b";
    std::vector<RunReport> runs{sample_report(sets)};
    std::set<std::string> names;
    for (const FigureFile& figure : report_figures(runs)) EXPECT_TRUE(names.insert(figure.name).second);
    EXPECT_TRUE(names.contains("roc-a_b.svg") && names.contains("roc-a_b-2.svg"));
    EXPECT_EQ(names.size(), 3u + 2 * (2 + 2));  // agreement a set; ROC, precision-recall, scores an OOD set
}

TEST(ReportPage, FiguresOfAnIdSetAlone) {
    std::vector<std::string> names;
    for (const FigureFile& figure : report_figures({sample_report({test::sample_sets()[0]})}))
        names.push_back(figure.name);
    EXPECT_THAT(names, testing::ElementsAre("agreement-imagenet.svg", "scores-msp-imagenet.svg",
                                            "scores-energy_temperature_2-imagenet.svg"));
}

TEST(ReportPage, RunsOfOtherImagesAreMarked) {
    auto sets = test::sample_sets();
    for (auto& set : sets) set.info.digest = "1";
    auto others = sets;
    std::vector<RunReport> same{sample_report(sets), sample_report(others)};
    EXPECT_THAT(why_not_comparable(same), IsEmpty());
    others[0].info.digest = others[2].info.digest = "2";
    std::vector<RunReport> runs{sample_report(sets), sample_report(others)};
    const auto reasons = why_not_comparable(runs);
    ASSERT_THAT(reasons, SizeIs(2));
    EXPECT_THAT(reasons[0], HasSubstr("the ID set of run 2, imagenet, is not that of run 1"));
    EXPECT_THAT(reasons[1], HasSubstr("sun of run 2 has other images than that of run 1"));
    const std::string page = sample_page(std::move(runs));
    EXPECT_THAT(page, HasSubstr("Not comparable: figures of these runs"));
    EXPECT_TRUE(data_of(page)["oneRun"].get<bool>());
    EXPECT_FALSE(data_of(sample_page(std::move(same)))["oneRun"].get<bool>());
}

// An average over other sets is not set beside one over all.
TEST(ReportPage, ARunThatLacksASetHasNoAverages) {
    auto sets = test::sample_sets();
    sets.pop_back();
    const std::string note = "a run that lacks one has none", row = "<em>average</em>";
    const std::string page = sample_page({sample_report(), sample_report(sets)});
    EXPECT_THAT(page, HasSubstr(note));
    EXPECT_EQ(count_of(page, "data-set=\"average\">–</td>"), 2 * 3u) << "figures of the second run's methods";
    EXPECT_EQ(count_of(page, row), 2u) << "a row a method, of the first run alone";
    const auto runs = data_of(page)["runs"];
    EXPECT_TRUE(runs[0]["methods"][0]["figures"].contains("average"));
    EXPECT_FALSE(runs[1]["methods"][0]["figures"].contains("average"));
    EXPECT_THAT(sample_page({sample_report(), sample_report()}), Not(HasSubstr(note)));
}

// Methods and sets keep their colour and their place in the choices, whatever the run.
TEST(ReportPage, RunsShareTheListsByName) {
    auto sets = test::sample_sets();
    sets.erase(sets.begin() + 1);
    auto methods = test::sample_methods();
    std::swap(methods[0], methods[1]);
    std::vector<RunReport> runs{sample_report(), sample_report(sets, methods)};
    const PageLists lists = join_lists(runs);
    EXPECT_EQ(lists.sets, (std::vector<std::string>{"dtd", "sun"}));
    EXPECT_EQ(runs[1].method_keys, (std::vector<size_t>{1, 0}));
    EXPECT_EQ(runs[1].set_keys[1], 1u);
    EXPECT_THAT(report_page(runs, lists, {}), HasSubstr(">–</td>")) << "what a run does not have";
}

TEST(ReportPage, ScoreFilesThatDifferAreSaid) {
    auto sets = test::sample_sets();
    const auto tables = test::sample_tables(sets, test::sample_methods());
    Results results = summarise(test::sample_run(), test::sample_methods(), sets);
    EXPECT_THAT(make_run_report("r", results, tables).differences, IsEmpty());
    results.metrics[1].metrics.auroc += 0.01;
    const auto differences = make_run_report("r", results, tables).differences;
    ASSERT_THAT(differences, SizeIs(1));
    EXPECT_THAT(differences[0], HasSubstr("msp on sun"));
    EXPECT_THAT(differences[0], HasSubstr("auroc"));
}

TEST(ReportPage, OfLittle) {
    const auto id_only = std::vector<ScoredSet>{test::sample_sets()[0]};
    EXPECT_THAT(sample_page({sample_report(id_only)}), HasSubstr("scores, but no metrics"));
    auto sets = test::sample_sets();
    for (auto& set : sets)
        for (auto& column : set.scores) std::fill(column.begin(), column.end(), NAN);
    for (const auto& page : {sample_page({sample_report(sets)}), sample_page({sample_report(id_only)})}) {
        EXPECT_THAT(page, Not(HasSubstr("nan,")));
        for (const std::string& number : matches(page, " (?:d|x|y|x1|cx|cy|width)=\"([^\"]*)\""))
            EXPECT_EQ(number.find("nan"), std::string::npos) << number;
    }
    for (auto& set : sets)
        for (auto& column : set.scores) std::fill(column.begin(), column.end(), 5e-324);
    EXPECT_THAT(sample_page({sample_report(sets)}), Not(HasSubstr("=\"nan"))) << "the least of numbers";
}

TEST(ReportPage, WithoutOodSetsNothingIsSaidOfThem) {
    const std::vector<ScoredSet> alone{test::sample_sets()[0]};
    const std::string page = sample_page({sample_report(alone)}), full = sample_page({sample_report()});
    for (const std::string part : {"Curves are drawn", "Curves and threshold", "Dots mark", "(outlined)",
                                   "and OOD images with the highest", "id=\"set\""}) {
        EXPECT_THAT(without_elements(page, "script"), Not(HasSubstr(part)));
        EXPECT_THAT(full, HasSubstr(part));
    }
    EXPECT_EQ(count_of(page, "Scores and threshold"), 2u) << "heading and link";
    EXPECT_THAT(page, HasSubstr("that msp gives imagenet; the height"));
}

TEST(ReportPage, EveryLinkHasItsSection) {
    const std::vector<ScoredSet> sets{scored_set("a", SetRole::Id, {{1, 2}}),
                                      scored_set("b", SetRole::Ood, {{0}})};
    for (const std::string& page :
         {sample_page({sample_report()}), sample_page({sample_report(sets, {{"msp", {}}})})})
        for (const std::string& id : matches(page, "href=\"#([a-z]+)\""))
            EXPECT_THAT(page, HasSubstr("<section id=\"" + id + "\"")) << id;
}

}  // namespace
}  // namespace gs
