#include "report/theme.h"

#include "report/assets.h"

namespace gs {

std::string theme_css() {
    std::string light, dark;
    for (const ThemeColour& c : kTheme) {
        light += "--" + std::string(c.name) + ":" + std::string(c.light) + ";";
        dark += "--" + std::string(c.name) + ":" + std::string(c.dark) + ";";
    }
    return ":root{color-scheme:light dark;" + light + "}\n@media (prefers-color-scheme:dark){:root{" + dark +
           "}}\n";
}

std::string chart_css_of_page() {
    std::string css(chart_css_asset());
    for (size_t k = 0; k < kCurveColours; ++k) {
        const std::string number = std::to_string(k), colour = "var(--c" + number + ")";
        css += ".s" + number + "{stroke:" + colour + "}.f" + number + "{fill:" + colour + "}\n";
    }
    return css;
}

// Viewers of pictures need not know variables.
std::string chart_css_of_picture() {
    std::string css = chart_css_of_page();
    for (const ThemeColour& c : kTheme) {
        const std::string variable = "var(--" + std::string(c.name) + ")";
        for (size_t at = 0; (at = css.find(variable, at)) != css.npos;)
            css.replace(at, variable.size(), c.light);
    }
    return css;
}

}  // namespace gs
