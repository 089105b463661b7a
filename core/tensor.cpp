#include "core/tensor.h"

namespace gs {

std::string to_string(const Shape& shape) {
    return std::to_string(shape.n) + "x" + std::to_string(shape.h) + "x" + std::to_string(shape.w) + "x" +
           std::to_string(shape.c);
}

View View::samples(int64_t first, int64_t count) const {
    GS_REQUIRE(first >= 0 && count >= 0 && first + count <= shape.n);
    const size_t skip = static_cast<size_t>(first * shape.per_sample()) * size_of(dtype);
    return {static_cast<std::byte*>(data) + skip, shape.with_n(count), dtype};
}

View Buffer::view(const Shape& shape, size_t offset, DType dtype) const {
    const View view{static_cast<std::byte*>(data()) + offset, shape, dtype};
    GS_REQUIRE(offset + view.bytes() <= bytes_);
    return view;
}

}  // namespace gs
