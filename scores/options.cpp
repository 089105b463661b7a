#include "scores/options.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/join.h"
#include "core/numbers.h"

namespace gs {

void OptionReader::fail(const std::string& what) const {
    throw Error(ErrorKind::Usage, "method '" + spec_.written + "': " + what);
}

const std::string* OptionReader::given(const std::string& key) const {
    const auto it = spec_.options.find(key);
    return it == spec_.options.end() ? nullptr : &it->second;
}

double OptionReader::parse(const std::string& key, const std::string& text) const {
    if (text == "inf") return std::numeric_limits<double>::infinity();
    const auto value = parse_number<double>(text);
    if (!value || std::isnan(*value)) fail(key + "=" + text + " is not a number");
    return *value;
}

double OptionReader::number(const std::string& key, double fallback, double low, double high) {
    const std::string* text = given(key);
    const double value = text != nullptr ? parse(key, *text) : fallback;
    if (!(value > low && value <= high))
        fail(key + "=" + shortest(value) + " is out of range (above " + shortest(low) + ", at most " +
             shortest(high) + ")");
    resolved_[key] = shortest(value);
    return value;
}

double OptionReader::temperature(double fallback) {
    return number("temperature", fallback, 1e-30, 1e30);
}

double OptionReader::number_from_zero(const std::string& key, double fallback) {
    const std::string* text = given(key);
    const double value = text != nullptr ? parse(key, *text) : fallback;
    if (!(value >= 0 && value <= 1e30))  // what float32 holds
        fail(key + "=" + shortest(value) + " is out of range (0 or more, at most 1e+30)");
    resolved_[key] = shortest(value);
    return value;
}

std::vector<double> OptionReader::parse_list(const std::string& key,
                                             const std::vector<double>& fallback) const {
    const std::string* text = given(key);
    if (text == nullptr) return fallback;
    std::vector<double> values;
    for (const std::string& part : split(*text, '+')) values.push_back(parse(key, part));
    if (values.size() != 1 && values.size() != fallback.size())
        fail(key + "=" + *text + " has " + std::to_string(values.size()) + " numbers for " +
             std::to_string(fallback.size()) + " layers; give one for all, or one for each");
    values.resize(fallback.size(), values.front());
    return values;
}

std::vector<double> OptionReader::numbers(const std::string& key, const std::vector<double>& fallback,
                                          double low, double high) {
    const std::vector<double> values = parse_list(key, fallback);
    for (const double value : values)
        if (given(key) != nullptr && !(value > low && value <= high))
            fail(key + "=" + shortest(value) + " is out of range (above " + shortest(low) + ", at most " +
                 shortest(high) + ")");
    resolved_[key] = join(values, "+", shortest<double>);
    return values;
}

std::vector<int64_t> OptionReader::whole_numbers(const std::string& key, const std::vector<int64_t>& fallback,
                                                 int64_t low, int64_t high) {
    const std::vector<double> values = parse_list(key, {fallback.begin(), fallback.end()});
    std::vector<int64_t> whole;
    for (const double value : values) {
        const bool fits = value >= static_cast<double>(low) && value <= static_cast<double>(high);
        if (given(key) != nullptr && (!fits || value != std::floor(value)))
            fail(key + "=" + shortest(value) + " is not a whole number from " + std::to_string(low) + " to " +
                 std::to_string(high));
        whole.push_back(static_cast<int64_t>(value));
    }
    resolved_[key] = join(whole, "+", [](int64_t value) { return std::to_string(value); });
    return whole;
}

int64_t OptionReader::whole_number(const std::string& key, int64_t fallback, int64_t low, int64_t high) {
    return whole_numbers(key, {fallback}, low, high).front();
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
