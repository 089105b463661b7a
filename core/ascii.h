// Letters and digits of ASCII, whatever the locale of the program.
#pragma once

#include <string>

namespace gs {

constexpr bool is_ascii_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

constexpr char ascii_lower(char c) {
    return is_ascii_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr bool is_ascii_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || is_ascii_upper(c);
}

inline std::string ascii_lower(std::string text) {
    for (char& c : text) c = ascii_lower(c);
    return text;
}

}  // namespace gs
