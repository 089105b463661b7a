// The readable sources of the report page (report/assets/), in the binary.
#pragma once

#include <string_view>

namespace gs {

std::string_view page_css_asset();   // page.css
std::string_view chart_css_asset();  // chart.css
std::string_view page_js_asset();    // page.js

}  // namespace gs
