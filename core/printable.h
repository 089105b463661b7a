// Bytes from a file in a message: names out of weights and pickles are not ours, and may hold control
// characters (terminal escapes), half a UTF-8 sequence, or a megabyte.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gs {

// Well-formed UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view bytes);

// One line of at most about `limit` bytes: control characters, and what is not UTF-8, as \xNN; longer texts
// end in "...".
std::string printable(std::string_view bytes, size_t limit = 120);

// For files that must be UTF-8, as JSON: as it is where it is UTF-8, else as printable(), of any length.
std::string as_utf8(const std::string& bytes);

}  // namespace gs
