#include "core/pickle_text.h"

#include <algorithm>
#include <charconv>

namespace gs::pickle {
namespace {

// The number in the first `digits` characters; empty where there are fewer, or other ones.
std::optional<uint32_t> number(std::string_view text, size_t digits, int base) {
    uint32_t value = 0;
    if (text.size() < digits) return std::nullopt;
    const char* end = text.data() + digits;
    const auto [stop, error] = std::from_chars(text.data(), end, value, base);
    if (error != std::errc() || stop != end) return std::nullopt;
    return value;
}

bool append_utf8(std::string& text, uint32_t code) {
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    const auto put = [&](uint32_t byte) { text += static_cast<char>(byte); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0 | code >> 6);
        put(0x80 | (code & 63));
    } else if (code < 0x10000) {
        put(0xE0 | code >> 12);
        put(0x80 | (code >> 6 & 63));
        put(0x80 | (code & 63));
    } else {
        put(0xF0 | code >> 18);
        put(0x80 | (code >> 12 & 63));
        put(0x80 | (code >> 6 & 63));
        put(0x80 | (code & 63));
    }
    return true;
}

// One escape after its backslash; takes what it used off `rest`. A backslash before any other character
// stays.
bool append_escape(std::string& bytes, std::string_view& rest) {
    constexpr std::string_view kLetters = "\\'\"abfnrtv", kMeanings = "\\'\"\a\b\f\n\r\t\v";
    if (rest.empty()) return false;
    const char letter = rest[0];
    if (const size_t i = kLetters.find(letter); i != std::string_view::npos) {
        bytes += kMeanings[i];
        rest.remove_prefix(1);
    } else if (letter == 'x') {
        const auto value = number(rest.substr(1), 2, 16);
        if (!value) return false;
        bytes += static_cast<char>(*value);
        rest.remove_prefix(3);
    } else if (letter >= '0' && letter <= '7') {
        const size_t digits =
            std::min<size_t>({3, rest.size(), std::min(rest.find_first_not_of("01234567"), rest.size())});
        bytes += static_cast<char>(*number(rest, digits, 8));
        rest.remove_prefix(digits);
    } else {
        bytes += '\\';
    }
    return true;
}

// What a value holds: its i-th child, or null beyond the last.
ValuePtr child(const Dict& dict, size_t i) {
    if (i >= 2 * dict.items.size()) return nullptr;
    const auto& [key, value] = dict.items[i / 2];
    return i % 2 == 0 ? key : value;
}

ValuePtr child(const Call& call, size_t i) {
    const ValuePtr fixed[] = {call.arguments, call.keywords, call.state};
    size_t present = 0;
    for (const ValuePtr value : fixed)
        if (value != nullptr && present++ == i) return value;
    i -= present;
    if (i < call.appended.items.size()) return call.appended.items[i];
    return child(call.set, i - call.appended.items.size());
}

ValuePtr child(const Value& value, size_t i) {
    if (const auto* list = value.as<List>()) return i < list->items.size() ? list->items[i] : nullptr;
    if (const auto* dict = value.as<Dict>()) return child(*dict, i);
    if (const auto* call = value.as<Call>()) return child(*call, i);
    if (const auto* persistent = value.as<PersistentId>()) return i == 0 ? persistent->id : nullptr;
    return nullptr;
}

// Depth-first over the values, each once: heights are known from the leaves up.
class Nesting {
  public:
    explicit Nesting(size_t values) : height_(values, kNew) {}

    // False: a cycle through `start`.
    bool visit(const Value& start) {
        if (height_[start.index] != kNew) return true;
        open(start);
        while (!path_.empty()) {
            Step& step = path_.back();
            const ValuePtr next = child(*step.value, step.next_child++);
            if (next == nullptr) {
                close(step);
            } else if (height_[next->index] == kNew) {
                open(*next);
            } else if (height_[next->index] == kOpen) {
                return false;
            } else {
                step.height = std::max(step.height, height_[next->index] + 1);
            }
        }
        return true;
    }
    size_t deepest() const { return deepest_; }

  private:
    struct Step {
        const Value* value;
        size_t next_child;
        uint32_t height;
    };
    static constexpr uint32_t kNew = ~uint32_t{0}, kOpen = kNew - 1;

    void open(const Value& value) {
        height_[value.index] = kOpen;
        path_.push_back({&value, 0, 0});
    }
    void close(const Step& step) {
        const uint32_t height = step.height;
        height_[step.value->index] = height;
        deepest_ = std::max<size_t>(deepest_, height);
        path_.pop_back();
        if (!path_.empty()) path_.back().height = std::max(path_.back().height, height + 1);
    }

    std::vector<uint32_t> height_;
    std::vector<Step> path_;
    size_t deepest_ = 0;
};

}  // namespace

std::optional<std::string> decode_raw_unicode_escape(std::string_view escaped) {
    std::string text;
    while (!escaped.empty()) {
        const bool short_form = escaped.starts_with("\\u"), long_form = escaped.starts_with("\\U");
        if (short_form || long_form) {
            const size_t digits = short_form ? 4 : 8;
            const auto code = number(escaped.substr(2), digits, 16);
            if (!code || !append_utf8(text, *code)) return std::nullopt;
            escaped.remove_prefix(2 + digits);
        } else {
            append_utf8(text, static_cast<unsigned char>(escaped[0]));
            escaped.remove_prefix(1);
        }
    }
    return text;
}

std::optional<std::string> decode_python_literal(std::string_view quoted) {
    while (!quoted.empty() && (quoted.back() == ' ' || quoted.back() == '\r')) quoted.remove_suffix(1);
    const bool closed = quoted.size() >= 2 && quoted.front() == quoted.back();
    if (!closed || (quoted.front() != '\'' && quoted.front() != '"')) return std::nullopt;
    std::string_view rest = quoted.substr(1, quoted.size() - 2);
    std::string bytes;
    while (!rest.empty()) {
        const char c = rest[0];
        rest.remove_prefix(1);
        if (c != '\\')
            bytes += c;
        else if (!append_escape(bytes, rest))
            return std::nullopt;
    }
    return bytes;
}

std::optional<std::string> nesting_problem(const Parsed& parsed, size_t max_depth) {
    Nesting nesting(parsed.values.size());
    for (const Value& value : parsed.values)
        if (!nesting.visit(value)) return "a value contains itself";
    if (nesting.deepest() > max_depth)
        return "values are nested more than " + std::to_string(max_depth) + " deep";
    return std::nullopt;
}

}  // namespace gs::pickle
