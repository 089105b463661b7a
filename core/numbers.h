// Numbers as text and back, whatever the locale.
#pragma once

#include <charconv>
#include <cmath>
#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace gs {

// The number that the whole text is; nothing where it is none, or one that the type does not hold.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
    Number value{};
    const char* const end = text.data() + text.size();
    const auto got = std::from_chars(text.data(), end, value);
    if (got.ec != std::errc() || got.ptr != end) return std::nullopt;
    return value;
}

// The shortest text that reads as the same value of this type: "0.1", "-inf"; "nan" whatever its sign.
template <class Number>
std::string shortest(Number value) {
    if constexpr (std::floating_point<Number>)
        if (std::isnan(value)) return "nan";
    char text[32];  // longer than any float64 or int64
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

// So many digits behind the point.
inline std::string fixed(double value, int decimals) {
    if (!std::isfinite(value)) return shortest(value);
    char text[400];  // 309 digits before the point at most
    return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, decimals).ptr};
}

// At most so many significant digits: "0.1235", "1.235e-07", "12".
inline std::string significant(double value, int digits) {
    if (!std::isfinite(value)) return shortest(value);
    char text[64];
    return {text, std::to_chars(text, text + sizeof text, value, std::chars_format::general, digits).ptr};
}

}  // namespace gs
