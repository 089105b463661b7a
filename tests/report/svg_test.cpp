#include "report/svg.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gs {
namespace {

TEST(XmlEscaped, LeavesNothingThatMarksUp) {
    EXPECT_EQ(xml_escaped("<script>alert('a') & \"b\"</script>"),
              "&lt;script&gt;alert(&#39;a&#39;) &amp; &quot;b&quot;&lt;/script&gt;");
    EXPECT_EQ(xml_escaped("caf\xc3\xa9 \xff\n\x1b"), "caf\xc3\xa9 \\xff\\x0a\\x1b");
    EXPECT_EQ(xml_escaped("abcdefgh", 5).substr(0, 2), "ab");
    EXPECT_LE(xml_escaped(std::string(9000, 'a')).size(), 4010u);
    EXPECT_EQ(xml_escaped("a\uFFFEb\uFFFF\uFFFC"), "a\uFFFDb\uFFFD\uFFFC") << "no characters of XML";
}

TEST(Svg, Ticks) {
    using svg::Range;
    EXPECT_EQ(svg::tick_step({0, 1}, 5), 0.2);
    EXPECT_EQ(svg::tick_step({0, 7}, 5), 2);
    EXPECT_EQ(svg::ticks({0, 1}, 0.5), (std::vector<double>{0, 0.5, 1}));
    EXPECT_EQ(svg::ticks({-3, 3}, 2), (std::vector<double>{-2, 0, 2}));
}

TEST(Svg, TicksReadAsTheirValues) {
    using svg::tick_texts;
    using Texts = std::vector<std::string>;
    EXPECT_EQ(tick_texts({1e-17, 0.1, 0.30000000000000004, 1}, 0.1), (Texts{"0", "0.1", "0.3", "1.0"}));
    EXPECT_EQ(tick_texts({-50, 0, 150}, 50), (Texts{"-50", "0", "150"}));
    EXPECT_EQ(tick_texts({-2.5, 0, 5}, 2.5), (Texts{"-2.5", "0", "5.0"}));
    EXPECT_EQ(tick_texts({0, 1.25, 2.5}, 1.25), (Texts{"0", "1.25", "2.50"}));
    EXPECT_EQ(tick_texts({0, 2e-5, 6.000000000000001e-5, 1e-4}, 2e-5), (Texts{"0", "2e-5", "6e-5", "1e-4"}));
    EXPECT_EQ(tick_texts({-6e-5, -2e-5}, 2e-5), (Texts{"-6e-5", "-2e-5"}));
    EXPECT_EQ(tick_texts({0.00012, 0.00014}, 2e-5), (Texts{"1.2e-4", "1.4e-4"}));
    EXPECT_EQ(tick_texts({0.001005, 0.00101}, 5e-6), (Texts{"0.001005", "0.001010"}));
    EXPECT_EQ(tick_texts({0.00101}, 5e-6), (Texts{"1.01e-3"}));
    EXPECT_EQ(tick_texts({0.50001, 0.50002}, 1e-5), (Texts{"0.50001", "0.50002"}));
    EXPECT_EQ(tick_texts({0, 8e8, 1e9, 1.2e9}, 2e8), (Texts{"0", "8e8", "1e9", "1.2e9"}));
    EXPECT_EQ(tick_texts({900000, 1000000}, 100000), (Texts{"900000", "1000000"}));
    EXPECT_EQ(tick_texts({1e300}, 1e300), (Texts{"1e300"}));
    EXPECT_EQ(tick_texts({}, 1), Texts{});
}

// Neighbours differ, and no text is off by half a step, on axes of any size and place.
TEST(Svg, TicksAreToldApart) {
    for (double size = 1e-12; size < 1e15; size *= 3.7)
        for (const double low : {0.0, -size / 3, size * 1e3, -size * 1e5}) {
            const svg::Range range{low, low + size};
            const double step = svg::tick_step(range, 4);
            const std::vector<double> values = svg::ticks(range, step);
            const std::vector<std::string> texts = svg::tick_texts(values, step);
            ASSERT_EQ(texts.size(), values.size());
            for (size_t k = 0; k < values.size(); ++k)
                EXPECT_NEAR(std::stod(texts[k]), values[k], 1e-3 * step) << texts[k];
        }
}

TEST(Svg, RangesToDraw) {
    const auto range = [](double low, double high, bool from_zero) {
        const svg::Range r = svg::range_to_draw({low, high}, from_zero);
        return std::pair(r.low, r.high);
    };
    EXPECT_EQ(range(1, 3, false), std::pair(1.0, 3.0));
    EXPECT_EQ(range(1, 3, true), std::pair(0.0, 3.0));
    EXPECT_EQ(range(-3, -1, true), std::pair(-3.0, 0.0));
    EXPECT_EQ(range(2, 2, true), std::pair(0.0, 4.0));
    EXPECT_EQ(range(20, 20, false), std::pair(18.0, 22.0));
    EXPECT_EQ(range(0, 0, true), std::pair(-1.0, 1.0));
    const svg::Range none = svg::range_to_draw({}, false);
    EXPECT_EQ(std::pair(none.low, none.high), std::pair(0.0, 1.0));
}

TEST(Svg, Numbers) {
    EXPECT_EQ(svg::number(2), "2");
    EXPECT_EQ(svg::number(2.04), "2");
    EXPECT_EQ(svg::number(-0.04), "0");
    EXPECT_EQ(svg::number(100, 0), "100");
    EXPECT_EQ(svg::number(1.25, 2), "1.25");
}

// Steps add up to the rounded positions: errors do not build up over a long path.
TEST(Svg, PathsGoInSteps) {
    EXPECT_EQ(svg::path_through({{0, 10}, {0.5, 10}, {0.52, 10.01}, {2, 9}}), "M0 10l.5 0l1.5-1");
    std::vector<svg::Point> thirds;
    for (int k = 0; k <= 300; ++k) thirds.push_back({k / 3.0, 0});
    double x = 0;
    const std::string path = svg::path_through(thirds);
    for (size_t at = 0; at != path.npos; at = path.find('l', at + 1)) x += std::stod(path.substr(at + 1));
    EXPECT_NEAR(x, 100, 1e-6);
}

TEST(Svg, AttributesAreQuotedAndWhole) {
    EXPECT_EQ(svg::attributes({{"d", std::string(100000, 'l')}}).size(), 100005u);
    EXPECT_EQ(svg::attributes({{"x", "1"}, {"aria-label", "a \"b\" <c>"}}),
              " x=\"1\" aria-label=\"a &quot;b&quot; &lt;c&gt;\"");
}

}  // namespace
}  // namespace gs
