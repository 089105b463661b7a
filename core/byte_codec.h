// Numbers, lists of them and texts as bytes and back, for files that gradscore alone reads (core/journal.h).
// Little-endian, as they lie in memory; a list is its length (uint64) and its items.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/error.h"

namespace gs {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in memory");

class ByteEncoder {
  public:
    template <class T>
    void number(T value) {
        static_assert(std::is_arithmetic_v<T>);
        append(std::as_bytes(std::span(&value, 1)));
    }
    template <class T>
    void numbers(std::span<const T> values) {
        number(static_cast<uint64_t>(values.size()));
        append(std::as_bytes(values));
    }
    void text(std::string_view text) { numbers(std::span(text.data(), text.size())); }
    std::vector<std::byte> take() { return std::move(bytes_); }

  private:
    std::vector<std::byte> bytes_;
    void append(std::span<const std::byte> more) { bytes_.insert(bytes_.end(), more.begin(), more.end()); }
};

// Throws Error(Data) "not WHAT" where bytes are missing or left over. Every length is checked against what is
// left before anything is allocated.
class ByteDecoder {
  public:
    // `what`: a literal.
    ByteDecoder(std::span<const std::byte> bytes, const char* what) : rest_(bytes), what_(what) {}

    template <class T>
    T number() {
        static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
        T value;
        std::memcpy(&value, take(sizeof value).data(), sizeof value);
        return value;
    }
    // The length of a list whose items have at least `bytes` bytes each.
    size_t count(size_t bytes) {
        const auto n = number<uint64_t>();
        require(n <= rest_.size() / bytes);
        return static_cast<size_t>(n);
    }
    template <class T>
    std::vector<T> numbers() {
        std::vector<T> values(count(sizeof(T)));
        const auto from = take(values.size() * sizeof(T));
        if (!from.empty()) std::memcpy(values.data(), from.data(), from.size());
        return values;
    }
    std::string text() {
        const auto from = take(count(1));
        return {reinterpret_cast<const char*>(from.data()), from.size()};
    }
    void require(bool condition) const {
        if (!condition) throw Error(ErrorKind::Data, std::string("not ") + what_);
    }
    void end() const { require(rest_.empty()); }

  private:
    std::span<const std::byte> rest_;
    const char* what_;

    std::span<const std::byte> take(size_t bytes) {
        require(bytes <= rest_.size());
        const auto taken = rest_.first(bytes);
        rest_ = rest_.subspan(bytes);
        return taken;
    }
};

}  // namespace gs
