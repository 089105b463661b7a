// Parts of core/pickle.cpp: decoding of protocol 0's strings, and the check of the finished graph of values.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/pickle.h"

namespace gs::pickle {

inline std::string_view as_text(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// UNICODE's argument: Latin-1 with \uXXXX and \UXXXXXXXX, to UTF-8. Empty where an escape is cut or no
// character.
std::optional<std::string> decode_raw_unicode_escape(std::string_view escaped);

// STRING's argument: a quoted Python literal ('a\x00\n'), to bytes. Empty where it is malformed.
std::optional<std::string> decode_python_literal(std::string_view quoted);

// What is wrong with the graph of all values: a cycle, or paths longer than max_depth. Never recurses.
std::optional<std::string> nesting_problem(const Parsed& parsed, size_t max_depth);

}  // namespace gs::pickle
