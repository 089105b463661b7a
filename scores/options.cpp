#include "scores/options.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "core/join.h"

namespace gs {

std::string format_number(double value) {
    char text[32];
    const auto [end, error] = std::to_chars(text, text + sizeof text, value);
    GS_REQUIRE(error == std::errc());
    return std::string(text, end);
}

void OptionReader::fail(const std::string& what) const {
    throw Error(ErrorKind::Usage, "method '" + spec_.written + "': " + what);
}

const std::string* OptionReader::given(const std::string& key) const {
    const auto it = spec_.options.find(key);
    return it == spec_.options.end() ? nullptr : &it->second;
}

double OptionReader::parse(const std::string& key, const std::string& text) const {
    if (text == "inf") return std::numeric_limits<double>::infinity();
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || std::isnan(value))
        fail(key + "=" + text + " is not a number");
    return value;
}

double OptionReader::number(const std::string& key, double fallback, double low, double high) {
    const std::string* text = given(key);
    const double value = text != nullptr ? parse(key, *text) : fallback;
    if (!(value > low && value <= high))
        fail(key + "=" + format_number(value) + " is out of range (above " + format_number(low) +
             ", at most " + format_number(high) + ")");
    resolved_[key] = format_number(value);
    return value;
}

double OptionReader::number_from_zero(const std::string& key, double fallback) {
    const std::string* text = given(key);
    const double value = text != nullptr ? parse(key, *text) : fallback;
    if (!(value >= 0) || std::isinf(value)) fail(key + "=" + format_number(value) + " must be 0 or more");
    resolved_[key] = format_number(value);
    return value;
}

std::string OptionReader::choice(const std::string& key, const std::string& fallback,
                                 std::span<const std::string_view> choices) {
    const std::string* text = given(key);
    const std::string value = text != nullptr ? *text : fallback;
    if (std::find(choices.begin(), choices.end(), value) == choices.end())
        fail(key + "=" + value + " is not one of " + join(choices, "|"));
    return resolved_[key] = value;
}

std::string OptionReader::text(const std::string& key, const std::string& fallback) {
    const std::string* value = given(key);
    return resolved_[key] = value != nullptr ? *value : fallback;
}

std::map<std::string, std::string> OptionReader::finish() {
    for (const auto& [key, value] : spec_.options) {
        if (resolved_.contains(key)) continue;
        const std::string known = join(resolved_, ", ", [](const auto& option) { return option.first; });
        fail("no option '" + key + "'; " + (known.empty() ? "it takes none" : "its options: " + known));
    }
    return resolved_;
}

}  // namespace gs
