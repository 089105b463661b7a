// Lists as text: "a, b, c" for messages, "a+b" in options.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

// "a, b, c and 12 more": for messages about any number of things.
template <class Text = std::identity>
std::string join_first(std::span<const std::string> items, size_t most = 8, const Text& text = {}) {
    const size_t more = items.size() - std::min(most, items.size());
    const std::string told = join(items.first(items.size() - more), ", ", text);
    return more == 0 ? told : told + " and " + std::to_string(more) + " more";
}

// The parts between separators, one more than there are separators; empty ones stay.
inline std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts;
    for (size_t begin = 0; begin <= text.size();) {
        const size_t end = std::min(text.find(separator, begin), text.size());
        parts.emplace_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

}  // namespace gs
