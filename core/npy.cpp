#include "core/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>

#include "core/printable.h"

namespace gs::npy {
namespace {

struct TypeName {
    Type type;
    std::string_view name;
};
constexpr std::array kTypes = {TypeName{Type::F2, "f2"}, TypeName{Type::F4, "f4"}, TypeName{Type::F8, "f8"},
                               TypeName{Type::I1, "i1"}, TypeName{Type::I2, "i2"}, TypeName{Type::I4, "i4"},
                               TypeName{Type::I8, "i8"}, TypeName{Type::U1, "u1"}, TypeName{Type::U2, "u2"},
                               TypeName{Type::U4, "u4"}, TypeName{Type::U8, "u8"}, TypeName{Type::B1, "b1"}};
constexpr size_t kMaxDimensions = 32;  // numpy's own limit before 2.0

// The header is a Python dict literal, always written the same way:
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
// Keys may come in any order; nothing but strings, booleans and tuples of integers is understood.
class HeaderParser {
  public:
    HeaderParser(std::string_view text, const std::string& what, ErrorKind kind)
        : rest_(text), what_(what), kind_(kind) {}

    void parse(Array& array) {
        expect('{');
        while (!accept('}')) {
            const std::string_view key = quoted();
            expect(':');
            field(key, array);
            if (!accept(',')) {
                expect('}');
                break;
            }
        }
        skip_space();
        if (!rest_.empty()) fail("text after the closing brace");
        if (!has_descr_ || !has_order_ || !has_shape_) fail("'descr', 'fortran_order' or 'shape' is missing");
    }

  private:
    [[noreturn]] void fail(const std::string& why) const {
        throw Error(kind_, what_ + ": malformed .npy header: " + why);
    }

    void skip_space() {
        while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
    }
    bool accept(char c) {
        skip_space();
        if (rest_.empty() || rest_[0] != c) return false;
        rest_.remove_prefix(1);
        return true;
    }
    void expect(char c) {
        if (!accept(c)) fail(std::string("'") + c + "' expected at '" + printable(rest_.substr(0, 20)) + "'");
    }
    std::string_view quoted() {
        const char quote = accept('"') ? '"' : '\'';
        if (quote == '\'') expect('\'');
        const size_t end = rest_.find(quote);
        if (end == std::string_view::npos) fail("a string has no end");
        const std::string_view value = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return value;
    }

    void once(bool& seen) {
        if (seen) fail("a key appears twice");
        seen = true;
    }
    void field(std::string_view key, Array& array) {
        if (key == "descr") {
            once(has_descr_);
            descr(array);
        } else if (key == "fortran_order") {
            once(has_order_);
            array.fortran = boolean();
        } else if (key == "shape") {
            once(has_shape_);
            shape(array);
        } else {
            fail("unknown key '" + printable(key) + "'");
        }
    }

    void descr(Array& array) {
        if (accept('['))
            throw Error(kind_, what_ + ": a structured .npy array; only plain numbers are supported");
        const std::string_view text = quoted();
        const std::string_view name = text.empty() ? text : text.substr(1);
        if (name.starts_with('O'))
            throw Error(kind_,
                        what_ + ": refused: an .npy array of Python objects (a pickle); save numbers only");
        const auto* found =
            std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeName& t) { return t.name == name; });
        const bool order_known =
            !text.empty() && std::string_view("<>|=").find(text[0]) != std::string_view::npos;
        if (found == kTypes.end() || !order_known)
            throw Error(kind_, what_ + ": .npy type '" + printable(text) +
                                   "' is not supported; save floats or integers");
        array.type = found->type;
        array.big_endian = text[0] == '>';
    }

    bool boolean() {
        skip_space();
        for (const bool value : {false, true}) {
            const std::string_view word = value ? "True" : "False";
            if (!rest_.starts_with(word)) continue;
            rest_.remove_prefix(word.size());
            return value;
        }
        fail("'fortran_order' is neither True nor False");
    }

    void shape(Array& array) {
        expect('(');
        while (!accept(')')) {
            skip_space();
            int64_t size = 0;
            const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
            if (error != std::errc() || size < 0) fail("a dimension is no number of at least 0");
            rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
            accept('L');  // Python 2's long
            array.shape.push_back(size);
            if (array.shape.size() > kMaxDimensions) fail("more than 32 dimensions");
            if (!accept(',')) {
                expect(')');
                break;
            }
        }
    }

    std::string_view rest_;
    const std::string& what_;
    ErrorKind kind_;
    bool has_descr_ = false, has_order_ = false, has_shape_ = false;
};

// Elements x bytes each, or nothing where 64 bits do not hold it. Zero anywhere makes zero, whatever the rest
// says.
bool byte_count(const Array& array, size_t& bytes) {
    bytes = bytes_per_element(array.type);
    if (std::find(array.shape.begin(), array.shape.end(), 0) != array.shape.end()) {
        bytes = 0;
        return true;
    }
    for (const int64_t size : array.shape)
        if (__builtin_mul_overflow(bytes, static_cast<size_t>(size), &bytes)) return false;
    return bytes <= static_cast<size_t>(std::numeric_limits<int64_t>::max());
}

}  // namespace

std::string_view to_string(Type type) {
    return kTypes[static_cast<size_t>(type)].name;
}

size_t bytes_per_element(Type type) {
    return static_cast<size_t>(to_string(type)[1] - '0');
}

int64_t Array::elements() const {
    return static_cast<int64_t>(data.size() / bytes_per_element(type));
}

Array parse(std::span<const std::byte> bytes, const std::string& what, ErrorKind kind) {
    constexpr std::string_view kMagic = "\x93NUMPY";
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto byte = [&](size_t i) { return std::to_integer<size_t>(bytes[i]); };
    if (!text.starts_with(kMagic)) throw Error(kind, what + ": not an .npy file (no NUMPY magic)");
    if (bytes.size() < 10) throw Error(kind, what + ": truncated .npy header");
    const size_t version = byte(6);
    if (version < 1 || version > 3)
        throw Error(kind,
                    what + ": .npy version " + std::to_string(version) + " is not supported (1 to 3 are)");
    const size_t start = version == 1 ? 10 : 12;
    if (bytes.size() < start) throw Error(kind, what + ": truncated .npy header");
    size_t length = byte(8) | byte(9) << 8;
    if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
    if (length > bytes.size() - start) throw Error(kind, what + ": truncated .npy header");

    Array array;
    HeaderParser(text.substr(start, length), what, kind).parse(array);
    array.data = bytes.subspan(start + length);
    size_t needed = 0;
    if (!byte_count(array, needed)) throw Error(kind, what + ": the .npy shape overflows 64 bits");
    if (needed != array.data.size())
        throw Error(kind, what + ": the .npy shape needs " + std::to_string(needed) +
                              " bytes, the file holds " + std::to_string(array.data.size()) +
                              (needed > array.data.size() ? " (truncated?)" : ""));
    return array;
}

std::vector<std::byte> to_native(const Array& array) {
    const size_t width = bytes_per_element(array.type), rank = array.shape.size();
    std::vector<std::byte> native(array.data.size());
    if (!array.fortran || rank < 2) {
        std::copy(array.data.begin(), array.data.end(), native.begin());
    } else {
        // Row-major order on the way out; `index` counts like an odometer and gives the column-major place.
        std::vector<size_t> index(rank, 0), stride(rank, 1);
        for (size_t d = 1; d < rank; ++d) stride[d] = stride[d - 1] * static_cast<size_t>(array.shape[d - 1]);
        size_t from = 0;
        for (size_t to = 0; to < native.size(); to += width) {
            std::memcpy(&native[to], &array.data[from * width], width);
            for (size_t d = rank; d-- > 0;) {
                from += stride[d];
                if (++index[d] < static_cast<size_t>(array.shape[d])) break;
                from -= stride[d] * index[d];
                index[d] = 0;
            }
        }
    }
    if (array.big_endian)
        for (size_t i = 0; i < native.size(); i += width)
            std::reverse(native.begin() + static_cast<std::ptrdiff_t>(i),
                         native.begin() + static_cast<std::ptrdiff_t>(i + width));
    return native;
}

}  // namespace gs::npy
