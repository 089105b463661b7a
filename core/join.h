// Lists for messages: "a, b, c".
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace gs {

// text(item) of every item, with `separator` between.
template <class Range, class Text = std::identity>
std::string join(const Range& items, std::string_view separator = ", ", const Text& text = {}) {
    std::string joined;
    bool first = true;
    for (const auto& item : items) {
        if (!first) joined += separator;
        first = false;
        joined += std::invoke(text, item);
    }
    return joined;
}

}  // namespace gs
