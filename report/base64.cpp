#include "report/base64.h"

#include <cstdint>

#include "core/files.h"

namespace gs {

std::string base64(std::span<const std::byte> bytes) {
    constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (size_t k = 0; k < bytes.size(); k += 3) {
        uint32_t group = 0;
        for (size_t i = 0; i < 3; ++i)
            group = group << 8 | (k + i < bytes.size() ? std::to_integer<uint32_t>(bytes[k + i]) : 0);
        for (size_t i = 0; i < 4; ++i)
            text += i > 0 && k + i - 1 >= bytes.size() ? '=' : kDigits[group >> (18 - 6 * i) & 63];
    }
    return text;
}

std::vector<std::byte> sha256_of(std::string_view text) {
    const std::string hex = sha256_hex(std::as_bytes(std::span(text)));
    std::vector<std::byte> bytes;
    for (size_t k = 0; k < hex.size(); k += 2)
        bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(k, 2), nullptr, 16)));
    return bytes;
}

}  // namespace gs
