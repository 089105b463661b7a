#include "report/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace gs {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// A clock that moves when told to, and what was printed.
struct Bench {
    std::chrono::steady_clock::time_point now{};
    std::ostringstream out;
    Progress start(const ProgressStyle& style, int64_t total = 1000, int64_t done = 0) {
        return Progress("dtd", total, style, done, out, [this] { return now; });
    }
    std::string take() {
        std::string text = out.str();
        out.str("");
        return text;
    }
};

constexpr ProgressStyle kTerminal{false, true, false, 80};
constexpr ProgressStyle kFile{false, false, false, 80};

TEST(Progress, PlainLinesEveryTenSeconds) {
    Bench b;
    Progress p = b.start(kFile);
    for (int second = 1; second <= 25; ++second) {
        b.now += 1s;
        p.update(second * 4, second >= 12 ? 3 : 0);
    }
    EXPECT_EQ(b.take(),
              "dtd  40/1,000  4 %  4.0 images/s  4:00 left\n"
              "dtd  80/1,000  8 %  4.0 images/s  3:50 left  3 skipped\n");
    b.now += 225s;
    p.update(1000, 3);
    b.take();
    p.finish();
    EXPECT_EQ(b.take(), "dtd  1,000 images in 4:10, 4.0 images/s, 3 skipped\n");
    p.finish();
    EXPECT_EQ(b.take(), "");
}

TEST(Progress, TerminalIsRedrawnAtMostTenTimesASecond) {
    Bench b;
    Progress p = b.start(kTerminal);
    for (int k = 1; k <= 1000; ++k) {
        b.now += 2ms;
        p.update(k / 2, 0);
    }
    const std::string text = b.take();
    EXPECT_EQ(std::count(text.begin(), text.end(), '\r'), 20);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 0);
    EXPECT_THAT(text, HasSubstr("\rdtd  500/1,000  50 %  250 images/s  0:02 left"));
    EXPECT_EQ(text.find('\x1b'), text.npos);
    p.finish();
    EXPECT_THAT(b.take(), testing::EndsWith("\rdtd  500 images in 0:02, 250 images/s\n"));
}

TEST(Progress, AShorterLineWipesTheLongerOne) {
    Bench b;
    Progress p = b.start(kTerminal, 0);
    b.now += 1s;
    p.update(100, 5);
    const std::string first = b.take();
    b.now += 1s;
    p.update(100, 0);
    const std::string second = b.take();
    EXPECT_EQ(first, "\rdtd  100  100 images/s  5 skipped");
    EXPECT_EQ(second.size(), first.size());
    EXPECT_THAT(second, testing::StartsWith("\rdtd  100  50.0 images/s   "));
}

TEST(Progress, LongLinesKeepToTheWidth) {
    Bench b;
    Progress p = b.start({false, true, false, 20});
    b.now += 1s;
    p.update(100, 5);
    EXPECT_EQ(b.take().size(), 20u);  // carriage return and 19 columns
}

TEST(Progress, RateIsThatOfTheLastSeconds) {
    Bench b;
    Progress p = b.start(kTerminal, 10000);
    b.now += 60s;  // the first batch took a minute
    p.update(8, 0);
    for (int k = 1; k <= 30; ++k) {
        b.now += 1s;
        p.update(8 + 100 * k, 0);
    }
    EXPECT_THAT(b.take(), HasSubstr("dtd  3,008/10,000  30 %  100 images/s  1:10 left"));
}

TEST(Progress, DetailStandsBehindTheLabel) {
    Bench b;
    Progress p = b.start(kFile, 1000);
    p.detail("epoch 2/3  loss 1.25");
    b.now += 10s;
    p.update(100, 0);
    EXPECT_EQ(b.take(), "dtd  epoch 2/3  loss 1.25  100/1,000  10 %  10.0 images/s  1:30 left\n");
}

TEST(Progress, WorkOfAnEarlierRunIsNoSpeed) {
    Bench b;
    Progress p = b.start(kFile, 1000, 900);
    b.now += 10s;
    p.update(910, 0);
    EXPECT_EQ(b.take(), "dtd  910/1,000  91 %  1.0 images/s  1:30 left\n");
    p.finish();
    EXPECT_EQ(b.take(), "dtd  10 images in 0:10, 1.0 images/s\n");
}

TEST(Progress, QuietSaysNothingButNotices) {
    for (bool terminal : {false, true}) {
        Bench b;
        Progress p = b.start({true, terminal, true, 80});
        b.now += 60s;
        p.update(500, 1);
        EXPECT_EQ(b.take(), "");
        p.notice("a.jpg: broken");
        EXPECT_EQ(b.take(), "a.jpg: broken\n");
        p.finish();
        EXPECT_EQ(b.take(), "");
    }
}

TEST(Progress, NoticesGetALineOfTheirOwn) {
    Bench b;
    Progress p = b.start(kTerminal);
    b.now += 1s;
    p.update(10, 0);
    const std::string line = b.take();
    p.notice("a.jpg: broken");
    EXPECT_EQ(b.take(), "\r" + std::string(line.size() - 1, ' ') + "\ra.jpg: broken\n" + line);
}

TEST(Progress, NoticesKeepNamesFromTheTerminal) {
    Bench b;
    Progress p = b.start(kFile);
    p.notice("a\x1b[2J\n\xff.jpg: a broken \xc2\x9b" + std::string(1000, 'x') + " image");
    EXPECT_EQ(b.take(), "a\\x1b[2J\\x0a\\xff.jpg: a broken \\xc2\\x9b" + std::string(1000, 'x') + " image\n");
}

TEST(Progress, AnAbandonedLineIsEnded) {
    Bench b;
    {
        Progress p = b.start(kTerminal);
        b.now += 1s;
        p.update(10, 0);
        b.take();
    }
    EXPECT_EQ(b.take(), "\n");
    { Progress p = b.start(kFile); }
    EXPECT_EQ(b.take(), "");
}

TEST(Progress, ColourOnlyWhereAsked) {
    Bench b;
    Progress p = b.start({false, true, true, 80});
    b.now += 1s;
    p.update(10, 0);
    EXPECT_THAT(b.take(), HasSubstr("\x1b[36mdtd"));
    ::setenv("NO_COLOR", "1", 1);
    EXPECT_FALSE(stderr_style(false).colour);
    ::unsetenv("NO_COLOR");
    ::setenv("TERM", "dumb", 1);
    EXPECT_FALSE(stderr_style(false).terminal);
    EXPECT_TRUE(stderr_style(true).quiet);
}

}  // namespace
}  // namespace gs
