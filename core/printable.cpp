#include "core/printable.h"

namespace gs {
namespace {

// Length of the well-formed UTF-8 sequence at the start of `bytes`, or 0 where there is none (RFC 3629).
size_t utf8_length(std::string_view bytes) {
    const auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const unsigned char lead = at(0);
    if (lead < 0x80) return 1;
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || bytes.size() < length) return 0;
    for (size_t i = 1; i < length; ++i)
        if ((at(i) & 0xC0) != 0x80) return 0;
    const bool overlong = (lead == 0xE0 && at(1) < 0xA0) || (lead == 0xF0 && at(1) < 0x90);
    const bool surrogate = lead == 0xED && at(1) >= 0xA0;
    const bool too_large = lead == 0xF4 && at(1) >= 0x90;
    return overlong || surrogate || too_large ? 0 : length;
}

}  // namespace

bool is_utf8(std::string_view bytes) {
    while (!bytes.empty()) {
        const size_t length = utf8_length(bytes);
        if (length == 0) return false;
        bytes.remove_prefix(length);
    }
    return true;
}

std::string printable(std::string_view bytes, size_t limit) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    while (!bytes.empty()) {
        if (text.size() >= limit) return text + "...";
        const auto byte = static_cast<unsigned char>(bytes[0]);
        size_t length = utf8_length(bytes);
        // U+0080..U+009F are control characters too.
        const bool control = byte < 0x20 || byte == 0x7F ||
                             (length == 2 && byte == 0xC2 && static_cast<unsigned char>(bytes[1]) < 0xA0);
        if (length == 0 || control) {
            text += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
            length = 1;
        } else {
            text += bytes.substr(0, length);
        }
        bytes.remove_prefix(length);
    }
    return text;
}

std::string as_utf8(const std::string& bytes) {
    return is_utf8(bytes) ? bytes : printable(bytes, bytes.size() * 4);
}

}  // namespace gs
