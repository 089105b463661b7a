#include "report/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "report/text.h"
#include "tests/report/sample.h"

namespace gs {
namespace {

using testing::HasSubstr;
using testing::Not;

std::vector<std::string> lines(const std::string& text) {
    std::istringstream in(text);
    std::vector<std::string> list;
    for (std::string line; std::getline(in, line);) list.push_back(line);
    return list;
}

Results with_sets(int count) {
    const auto sample = test::sample_sets();
    std::vector<ScoredSet> sets{sample[0]};
    for (int k = 0; k < count; ++k) {
        sets.push_back(sample[1]);
        sets.back().info.name = "set" + std::to_string(k + 1);
    }
    return summarise(test::sample_run(), test::sample_methods(), sets);
}

TEST(Table, AsAReaderSeesIt) {
    EXPECT_EQ(results_table(test::sample_results()), R"(mobilenet-v2 on imagenet
ID is the positive class; FPR95 = FPR at the ID recall closest to 95 %. Figures in percent.

  ID   imagenet  40 images, accuracy 82.50 %
  OOD  dtd       20 images
  OOD  sun       20 of 22 images, 2 excluded

                     │          dtd           │          sun           │        Average
method               │ FPR95↓ AUROC↑ AUPR-in↑ │ FPR95↓ AUROC↑ AUPR-in↑ │ FPR95↓ AUROC↑ AUPR-in↑
─────────────────────┼────────────────────────┼────────────────────────┼───────────────────────
msp                  │  95.00  52.50    70.77 │  70.00  85.00    93.24 │  82.50  68.75    82.00
energy:temperature=2 │  40.00  94.38    97.39 │  40.00  95.88    98.04 │  40.00  95.12    97.72
)");
}

TEST(Table, FiguresAreThoseOfTheResults) {
    const Results r = test::sample_results();
    const std::string text = results_table(r);
    for (const MethodMetrics& m : r.metrics)
        for (double v : {m.metrics.fpr95_closest, m.metrics.auroc, m.metrics.aupr_in})
            EXPECT_THAT(text, HasSubstr(percent(v)));
}

TEST(Table, FitsItsWidthWithAnyNumberOfSets) {
    for (int sets = 1; sets <= 6; ++sets)
        for (size_t width : {60, 80, 100, 140, 300}) {
            const std::string text = results_table(with_sets(sets), {width, true, false});
            size_t heads = 0;
            for (const std::string& line : lines(text)) {
                // The line of conventions is prose; a terminal may wrap it.
                if (line.find("positive class") == line.npos) {
                    EXPECT_LE(display_width(line), width) << line;
                }
                heads += line.find("method ") == 0;
                EXPECT_TRUE(line.empty() || line.back() != ' ') << line;
            }
            for (int k = 1; k <= sets; ++k) EXPECT_THAT(text, HasSubstr(" set" + std::to_string(k)));
            EXPECT_EQ(text.find("Average") != text.npos, sets > 1);
            if (width == 300) {
                EXPECT_EQ(heads, 1u);
            }
        }
}

TEST(Table, RowsOfABlockLineUp) {
    Results r = with_sets(2);
    r.sets[1].name = r.metrics[0].ood = r.metrics[2].ood = "纹理集";
    for (const std::string& line : lines(results_table(r))) {
        if (line.find("│") == line.npos) continue;
        EXPECT_EQ(display_width(line.substr(0, line.find("│"))), 21u) << line;
    }
}

TEST(Table, ASetWithoutScoresShowsNoFigures) {
    const std::vector<ScoredSet> sets{test::scored_set("id", SetRole::Id, {test::steps(0, 1, 30)}),
                                      test::scored_set("none", SetRole::Ood, {{}})};
    const std::string text = results_table(summarise(test::sample_run(), {{"msp", {}}}, sets));
    EXPECT_THAT(text, HasSubstr("msp    │    n/a     n/a       n/a\n"));
    EXPECT_THAT(text, HasSubstr("0 images\n"));
}

TEST(Table, WithoutOodSets) {
    const std::string text = results_table(with_sets(0));
    EXPECT_THAT(text, HasSubstr("40 images, accuracy 82.50 %"));
    EXPECT_THAT(text, HasSubstr("scores, but no metrics"));
    EXPECT_THAT(text, Not(HasSubstr("FPR95↓")));
}

TEST(Table, SaysWhatIsDoubtful) {
    Results r = with_sets(1);
    r.run.limit = 40;
    r.warnings = {{"x", "", "", "one two three four five six seven eight nine ten eleven twelve"}};
    const std::string text = results_table(r, {40, true, false});
    EXPECT_THAT(text, HasSubstr("NOT COMPARABLE: at most 40 images"));
    EXPECT_THAT(text, HasSubstr("\nwarning: one two three four five six\n    seven eight nine"));
}

TEST(Table, SaysWhyAnIncompleteRunIsNotComparable) {
    Results r = with_sets(1);
    r.run.shard = Shard{1, 4};
    EXPECT_THAT(results_table(r), HasSubstr("NOT COMPARABLE: only shard 1/4 of each set was scored"));
    r.run.shard.reset();
    r.run.stopped = "interrupted";
    r.run.limit = 40;
    EXPECT_THAT(results_table(r), HasSubstr("NOT COMPARABLE: the run ended early: interrupted; at most 40"));
    EXPECT_THAT(results_markdown(r), HasSubstr("**Not comparable:** the run ended early: interrupted; at"));
    r.run.stopped = "";
    r.run.limit.reset();
    EXPECT_THAT(results_table(r), Not(HasSubstr("NOT COMPARABLE")));
    ++r.sets[1].total;
    EXPECT_THAT(results_table(r), HasSubstr("NOT COMPARABLE: images of a set are missing"));
}

TEST(Table, AsciiAndColour) {
    for (char c : results_table(test::sample_results(), {100, false, false})) EXPECT_GT(c, 0);
    const std::string bold = results_table(test::sample_results(), {100, true, true});
    EXPECT_THAT(bold, HasSubstr(" \x1b[1m40.00\x1b[0m "));
    EXPECT_THAT(bold, Not(HasSubstr("\x1b[1m95.00")));
    std::string plain = bold;
    for (const char* code : {"\x1b[1m", "\x1b[0m"})
        for (size_t at; (at = plain.find(code)) != plain.npos;) plain.erase(at, 4);
    EXPECT_EQ(plain, results_table(test::sample_results()));
}

TEST(Table, NamesCannotSteerTheTerminal) {
    Results r = with_sets(1);
    r.sets[1].name = r.metrics[0].ood = r.metrics[1].ood = "\x1b[2Jevil";
    EXPECT_THAT(results_table(r), Not(HasSubstr("\x1b")));
    EXPECT_THAT(results_markdown(r), Not(HasSubstr("\x1b")));
}

TEST(Markdown, PageOfARun) {
    Results r = test::sample_results();
    r.run.limit = 40;
    r.warnings = {{"x", "", "", "take <care>"}};
    const std::string text = results_markdown(r);
    EXPECT_EQ(text.find("# mobilenet-v2 on imagenet\n\nID is the positive class"), 0u);
    for (const char* part :
         {"**Not comparable:** at most 40 images",
          "| imagenet | ID  | `folder:/data/imagenet` |     40 |        0 |  82.50 % |",
          "| **method**           |   FPR95 ↓ |   AUROC ↑ | AUPR-in ↑ |",
          "| msp                  |     95.00 |     52.50 |     70.77 |",
          "| energy:temperature=2 | **40.00** | **94.38** | **97.39** |", "## Warnings\n\n- take \\<care>\n",
          "## Notices\n\n- 3 files of other kinds", "- sun: `a/b.jpg`: data run out before the last row\n",
          "`gradscore score --id \"a\\|b\"`", "`ab12`", "1:13, 41.2 images/s", "oneDNN 2.6.3"})
        EXPECT_THAT(text, HasSubstr(part));
    EXPECT_EQ(text.back(), '\n');
    EXPECT_NE(text[text.size() - 2], '\n');
    EXPECT_THAT(text, HasSubstr("2 threads, batch 8 "));
    r.run.batch = 0;
    EXPECT_THAT(results_markdown(r), HasSubstr("2 threads, batch chosen ")) << "as the report page says it";
}

TEST(Markdown, EveryRowOfATableHasItsCells) {
    Results r = with_sets(6);
    r.methods[0].name = r.metrics[0].method = "a|b";
    for (size_t k = 0; k < 6; ++k) r.metrics[k].method = "a|b";
    r.averages[0].method = "a|b";
    size_t cells = 0, tables = 0;
    for (std::string line : lines(results_markdown(r))) {
        for (size_t at; (at = line.find("\\|")) != line.npos;) line.erase(at, 2);
        const auto bars = size_t(std::count(line.begin(), line.end(), '|'));
        if (bars > 0 && cells == 0) ++tables;
        if (bars > 0 && cells > 0) {
            EXPECT_EQ(bars, cells) << line;
        }
        cells = bars;
    }
    EXPECT_EQ(tables, 5u);  // sets, seven groups by three, run
}

TEST(Table, LocaleOfTheEnvironment) {
    const auto with = [](const char* all, const char* ctype, const char* lang) {
        ::setenv("LC_ALL", all, 1), ::setenv("LC_CTYPE", ctype, 1), ::setenv("LANG", lang, 1);
        return locale_is_utf8();
    };
    EXPECT_TRUE(with("", "", "en_US.UTF-8"));
    EXPECT_TRUE(with("C.utf8", "C", "C"));
    EXPECT_FALSE(with("C", "en_US.UTF-8", "en_US.UTF-8"));
    EXPECT_FALSE(with("", "", ""));
}

}  // namespace
}  // namespace gs
