// Reads numpy's .npy format (versions 1 to 3) from memory: the header, and a view of the data behind it.
// Used for `npy:` image sets (data/) and for the entries of .npz weights (weights/).
// Source: numpy/lib/format.py. Object arrays (pickles), structured and string types are refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace gs::npy {

// The letters of numpy's `descr`, without the byte order.
enum class Type : uint8_t { F2, F4, F8, I1, I2, I4, I8, U1, U2, U4, U8, B1 };
std::string_view to_string(Type type);  // "f4"
size_t bytes_per_element(Type type);

struct Array {
    Type type = Type::F4;
    bool big_endian = false;
    bool fortran = false;        // first index varies fastest
    std::vector<int64_t> shape;  // empty: a scalar
    std::span<const std::byte>
        data;  // exactly elements() * bytes_per_element(type) bytes, as stored; may be unaligned

    int64_t elements() const;
};

// Parses a whole .npy file. The result's data point into `bytes`. Throws Error(kind) "WHAT: …" when the
// header is malformed, the type is not one of the above, or the data are shorter or longer than the shape
// says.
Array parse(std::span<const std::byte> bytes, const std::string& what, ErrorKind kind);

// Little-endian row-major (C order) copy of the data: what a program on this machine wants to index.
std::vector<std::byte> to_native(const Array& array);

}  // namespace gs::npy
