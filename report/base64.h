// Bytes as text, RFC 4648.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gs {

std::string base64(std::span<const std::byte> bytes);
std::vector<std::byte> sha256_of(std::string_view text);  // 32 bytes

}  // namespace gs
