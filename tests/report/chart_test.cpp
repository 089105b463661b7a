// Texts of charts have room, curves are told apart and can be seen.
#include "report/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>
#include <set>

#include "report/assets.h"
#include "report/text.h"
#include "report/theme.h"
#include "tests/report/run_report_sample.h"

namespace gs {
namespace {

using chart::fitted;
using chart::text_width;
using testing::HasSubstr;
using testing::Not;

struct DrawnText {
    double left = 0, right = 0, y = 0;
    std::string text;
};

// Upright texts that are drawn, with the room they take.
std::vector<DrawnText> drawn_texts(const std::string& svg) {
    const std::regex element(
        "<text x=\"([-0-9.]+)\" y=\"([-0-9.]+)\"(?: text-anchor=\"([a-z]+)\")?(?: class=\"([a-z]+)\")?>"
        "([^<]*)</text>");
    std::vector<DrawnText> texts;
    for (auto m = std::sregex_iterator(svg.begin(), svg.end(), element); m != std::sregex_iterator(); ++m) {
        const bool in_cell = m->prefix().str().ends_with("/>");  // of a matrix: in the middle by its style
        const std::string anchor = in_cell ? "middle" : (*m)[3].str();
        const double width =
            text_width((*m)[5].str(), (*m)[4] == "small" ? chart::kSmallSize : chart::kTextSize);
        const double x = std::stod((*m)[1]), left = anchor == "end"      ? x - width
                                                    : anchor == "middle" ? x - width / 2
                                                                         : x;
        texts.push_back({left, left + width, std::stod((*m)[2]), (*m)[5]});
    }
    return texts;
}

void expect_room(const std::string& svg) {
    std::smatch box;
    ASSERT_TRUE(std::regex_search(svg, box, std::regex("viewBox=\"0 ([-0-9.]+) ([0-9.]+) ([0-9.]+)\"")));
    const auto texts = drawn_texts(svg);
    ASSERT_FALSE(texts.empty());
    for (size_t k = 0; k < texts.size(); ++k) {
        EXPECT_GE(texts[k].left, 0) << texts[k].text;
        EXPECT_LE(texts[k].right, std::stod(box[2])) << texts[k].text;
        EXPECT_GE(texts[k].y - chart::kTextSize, std::stod(box[1])) << texts[k].text;
        for (size_t j = 0; j < k; ++j) {
            const bool same_line = std::abs(texts[k].y - texts[j].y) < chart::kTextSize;
            EXPECT_TRUE(!same_line || texts[k].right <= texts[j].left || texts[j].right <= texts[k].left)
                << texts[j].text << " and " << texts[k].text;
        }
    }
}

TEST(Charts, TextsHaveRoom) {
    const std::string method = "odin:temperature=1000:epsilon=0.0014:layers=", wide = "WWWWMMMM@@@@wwww%%%%";
    for (const std::string& set : {std::string("far"), std::string("textures-of-materials-30-letters"),
                                   std::string(300, 'm'), wide + wide + wide}) {
        auto sets = test::sample_sets();
        for (auto& s : sets) s.info.name += "-" + set;
        auto methods = test::sample_methods();
        methods[1].name = method + set;
        for (const FigureFile& figure : report_figures({test::sample_report(sets, methods)})) {
            SCOPED_TRACE(figure.name);
            expect_room(figure.svg);
            const std::string title = figure.svg.substr(0, figure.svg.find("</title>"));
            EXPECT_THAT(title, HasSubstr("-" + set.substr(0, 100))) << "the whole name is there to be read";
        }
    }
}

// Both the beginning of the method and the set can be read, the set on a line of its own where it must be.
TEST(Charts, HeadingsOfFilesNameTheSet) {
    auto methods = test::sample_methods();
    methods[1].name = "odin:temperature=1000:epsilon=0.0014";
    const auto figures = report_figures({test::sample_report(test::sample_sets(), methods)});
    const auto headings = [&](const std::string& name) {
        std::vector<std::string> lines;
        for (const FigureFile& figure : figures)
            if (figure.name == name)
                for (const DrawnText& text : drawn_texts(figure.svg))
                    if (text.y < 0) lines.push_back(text.text);
        return lines;
    };
    EXPECT_THAT(headings("scores-msp-dtd.svg"), testing::ElementsAre("Scores of msp: dtd"));
    EXPECT_THAT(
        headings("scores-odin_temperature_1000_epsilon_0.0014-dtd.svg"),
        testing::ElementsAre(
            testing::AllOf(testing::StartsWith("Scores of odin:"), testing::EndsWith("0014")), "dtd"));
}

TEST(Charts, LegendsCutNoNameThatHasRoom) {
    for (const std::string& name : {std::string("odin:temperature=1000"), std::string("mahalanobis")}) {
        auto methods = test::sample_methods();
        methods[1].name = name;
        const Chart drawn = roc_chart(test::sample_report(test::sample_sets(), methods), 1);
        EXPECT_THAT(drawn.body, HasSubstr(">" + name + "</text>"));
        EXPECT_EQ(drawn.height, name == "mahalanobis" ? 392 : 411) << "lines, of two methods where they fit";
        expect_room(standalone_svg(drawn));
    }
}

// Labels of an axis make room for each other, too, where they need many digits.
TEST(Charts, AxesOfAlmostEqualScores) {
    for (const double middle : {1.0, -0.00101, 3e7}) {
        auto sets = test::sample_sets();
        for (auto& set : sets)
            for (auto& column : set.scores)
                for (double& score : column) score = middle * (1 + 0.8e-11 * score);
        for (const FigureFile& figure : report_figures({test::sample_report(sets)})) {
            SCOPED_TRACE(figure.name);
            expect_room(figure.svg);
        }
    }
}

TEST(Charts, TextsAreCutToTheirRoom) {
    EXPECT_EQ(fitted("short", 100), "short");
    const std::string cut = fitted("odin:temperature=1000:epsilon=0.0014", 120);
    EXPECT_LE(text_width(cut), 120);
    EXPECT_GT(text_width(cut), 100);
    EXPECT_THAT(cut, testing::AllOf(testing::StartsWith("odin:"), HasSubstr("…"), testing::EndsWith("0014")));
    EXPECT_LE(text_width(fitted("画像画像画像画像画像画像", 80)), 80);
    EXPECT_GT(text_width("mmm"), text_width("iii"));
    EXPECT_EQ(text_width("abc", 24), 2 * text_width("abc"));
}

// No two of 64 methods look alike, and no two of the first eight differ by colour alone.
TEST(Charts, CurvesDifferByMoreThanColour) {
    std::set<std::string> classes, dashes;
    const std::string css(chart_css_asset());
    for (size_t m = 0; m < kCurveColours * kCurveDashes; ++m) {
        const std::string strokes = chart::stroke_class(m);
        EXPECT_TRUE(classes.insert(strokes).second) << strokes;
        const size_t space = strokes.find(' ');
        const std::string dash = space == strokes.npos ? "" : strokes.substr(space + 1);
        if (m < kCurveColours) {
            EXPECT_TRUE(dashes.insert(dash).second) << strokes;
        }
        if (!dash.empty()) {
            EXPECT_THAT(css, HasSubstr("." + dash + " { stroke-dasharray: "));
        }
    }
}

using Colour = std::array<double, 3>;

Colour colour_of(std::string_view name, bool dark) {
    for (const ThemeColour& c : kTheme) {
        if (c.name != name) continue;
        Colour rgb;
        for (size_t k = 0; k < 3; ++k)
            rgb[k] = std::stoi(std::string((dark ? c.dark : c.light).substr(1 + 2 * k, 2)), nullptr, 16);
        return rgb;
    }
    ADD_FAILURE() << name;
    return {};
}

Colour over(const Colour& ground, const Colour& colour, double opacity) {
    Colour mixed;
    for (size_t k = 0; k < 3; ++k) mixed[k] = opacity * colour[k] + (1 - opacity) * ground[k];
    return mixed;
}

// As WCAG 2 defines it.
double contrast(const Colour& a, const Colour& b) {
    const auto luminance = [](const Colour& c) {
        Colour linear;
        for (size_t k = 0; k < 3; ++k) {
            const double v = c[k] / 255;
            linear[k] = v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
        }
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const double one = luminance(a) + 0.05, other = luminance(b) + 0.05;
    return std::max(one / other, other / one);
}

// report/theme.h promises it.
TEST(Theme, TextsAndCurvesCanBeSeen) {
    std::cmatch found;
    const std::string css(page_css_asset());
    ASSERT_TRUE(
        std::regex_search(css.c_str(), found, std::regex("\\.explored \\.curve \\{ opacity: ([.0-9]+);")));
    const double faint = std::stod(found[1]);
    for (const bool dark : {false, true}) {
        const Colour paper = colour_of("paper", dark);
        for (const char* text : {"ink", "muted", "accent"})
            for (const char* ground : {"paper", "panel"})
                EXPECT_GE(contrast(colour_of(text, dark), colour_of(ground, dark)), 4.5) << text << dark;
        EXPECT_GE(contrast(colour_of("warn", dark), colour_of("warn-panel", dark)), 4.5) << dark;
        for (size_t k = 0; k < kCurveColours; ++k) {
            const Colour curve = colour_of("c" + std::to_string(k), dark);
            EXPECT_GE(contrast(curve, paper), 4.5) << k << dark;
            EXPECT_GE(contrast(over(paper, curve, faint), paper), 3) << k << dark;
        }
    }
}

}  // namespace
}  // namespace gs
