// The colours of pages and pictures, light and dark, and the styles of charts.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace gs {

// A colour of both schemes. Text and curves have a contrast of 4.5 to the background, the page's curves of
// methods that are not chosen 3 (they are drawn fainter: assets/page.css), grid lines less.
struct ThemeColour {
    std::string_view name, light, dark;
};
inline constexpr std::array<ThemeColour, 17> kTheme{{
    {"paper", "#ffffff", "#14171c"},  // what everything lies on
    {"panel", "#f5f7fa", "#1d2128"},  // cards, heads of tables
    {"line", "#d5dbe3", "#363d48"},   // borders, grid
    {"ink", "#1c2430", "#e6e9ee"},
    {"muted", "#586374", "#a3adba"},
    {"accent", "#0b5fae", "#6cb6ff"},
    {"warn", "#8a4b00", "#f0b35c"},
    {"warn-panel", "#fff4e0", "#332712"},
    {"id", "#8793a3", "#7c8796"},  // the ID set's histogram
    {"c0", "#0b63b5", "#62b0ff"},  // curves
    {"c1", "#c2410c", "#ff9a5c"},
    {"c2", "#0f7a54", "#4fd6a0"},
    {"c3", "#9d2c8b", "#ec8fdc"},
    {"c4", "#6a5200", "#e3c04a"},
    {"c5", "#5b45b8", "#b3a1ff"},
    {"c6", "#0a7285", "#52cfe0"},
    {"c7", "#b3203f", "#ff8a9c"},
}};
inline constexpr size_t kCurveColours = 8;
inline constexpr size_t kCurveDashes = 8;  // the first unbroken, the others .d1, .d2, … of assets/chart.css

// Rules for chart elements, with the page's variables, or with the light scheme's colours written out.
std::string chart_css_of_page();
std::string chart_css_of_picture();

// ":root{--paper:#…}" and the same for the dark scheme in its media query.
std::string theme_css();

}  // namespace gs
