// Part of core/pickle.cpp: the bytes of a pickle, read in order and never beyond their end.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/numbers.h"
#include "core/pickle_text.h"
#include "core/printable.h"

namespace gs::pickle {

class Reader {
  public:
    Reader(std::span<const std::byte> bytes, const std::string& what, ErrorKind kind)
        : bytes_(bytes), what_(what), kind_(kind) {}

    const std::string& what() const { return what_; }
    ErrorKind kind() const { return kind_; }
    size_t position() const { return at_; }
    size_t remaining() const { return bytes_.size() - at_; }

    // Messages give the byte at which the current step (an opcode) began.
    void start_step() { step_ = at_; }
    [[noreturn]] void fail(const std::string& why) const {
        throw Error(kind_, what_ + ": bad pickle at byte " + std::to_string(step_) + ": " + why);
    }

    std::span<const std::byte> take(uint64_t count) {
        if (count > remaining()) fail("truncated");
        const auto taken = bytes_.subspan(at_, static_cast<size_t>(count));
        at_ += static_cast<size_t>(count);
        return taken;
    }
    std::string_view take_text(uint64_t count) { return as_text(take(count)); }

    template <class T>
    T little() {
        T value;
        std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
        return value;
    }
    uint8_t u8() { return little<uint8_t>(); }

    std::string_view line() {
        const std::string_view rest = as_text(bytes_.subspan(at_));
        const size_t end = rest.find('\n');
        if (end == std::string_view::npos) fail("truncated");
        at_ += end + 1;
        return rest.substr(0, end);
    }

    template <class T>
    T decimal(std::string_view digits) const {
        if (digits.starts_with('+')) digits.remove_prefix(1);
        const auto value = parse_number<T>(digits);
        if (!value) fail("'" + printable(digits, 40) + "' is no number that 64 bits hold");
        return *value;
    }

    // An integer of any length; empty beyond int64.
    std::optional<int64_t> long_decimal(std::string_view digits) const {
        const std::string_view magnitude = digits.substr(digits.starts_with('-') ? 1 : 0);
        int64_t value = 0;
        const bool number =
            !magnitude.empty() && magnitude.find_first_not_of("0123456789") == std::string_view::npos;
        if (number && std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc())
            return std::nullopt;
        return decimal<int64_t>(digits);
    }

    // Up to 8 bytes of little-endian two's complement.
    static int64_t sign_extended(std::span<const std::byte> bytes) {
        uint64_t bits = 0;
        for (size_t i = 0; i < bytes.size(); ++i) bits |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
        const bool negative = !bytes.empty() && (bytes.back() & std::byte{0x80}) != std::byte{0};
        if (negative && bytes.size() < 8) bits |= ~uint64_t{0} << (8 * bytes.size());
        return static_cast<int64_t>(bits);
    }

  private:
    std::span<const std::byte> bytes_;
    const std::string& what_;
    ErrorKind kind_;
    size_t at_ = 0, step_ = 0;
};

}  // namespace gs::pickle
