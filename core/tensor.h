// Shapes, and views of memory that belongs to a backend. Activations are NHWC everywhere: on disk order for
// images, what both oneDNN and cuDNN run fast, and one layout for every kernel, tap and dump.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>

#include "core/bfloat16.h"
#include "core/error.h"

namespace gs {

enum class DType : uint8_t { F32, BF16, U8 };
constexpr size_t size_of(DType type) {
    switch (type) {
        case DType::F32:
            return 4;
        case DType::BF16:
            return 2;
        case DType::U8:
            break;
    }
    return 1;
}

struct Shape {
    int64_t n = 0, h = 1, w = 1, c = 1;

    int64_t pixels() const { return h * w; }
    int64_t per_sample() const { return h * w * c; }
    int64_t size() const { return n * per_sample(); }
    Shape with_n(int64_t samples) const { return {samples, h, w, c}; }
    bool operator==(const Shape&) const = default;
};
std::string to_string(const Shape& shape);  // "8x120x120x256"

// Non-owning. Contiguous NHWC, 64-byte aligned at the first sample. Copying a view copies the pointer.
struct View {
    void* data = nullptr;
    Shape shape;
    DType dtype = DType::F32;

    explicit operator bool() const { return data != nullptr; }
    // Null where the view is absent.
    float* f32() const {
        GS_REQUIRE(dtype == DType::F32);
        return static_cast<float*>(data);
    }
    Bf16* bf16() const {
        GS_REQUIRE(dtype == DType::BF16);
        return static_cast<Bf16*>(data);
    }
    uint8_t* u8() const {
        GS_REQUIRE(dtype == DType::U8);
        return static_cast<uint8_t*>(data);
    }
    // float or Bf16, for code that serves both.
    template <class T>
    T* as() const {
        if constexpr (std::is_same_v<T, Bf16>)
            return bf16();
        else
            return f32();
    }
    size_t bytes() const { return static_cast<size_t>(shape.size()) * size_of(dtype); }
    // The same elements, as many as before, in another shape.
    View reshaped(const Shape& other) const {
        GS_REQUIRE(other.size() == shape.size());
        return {data, other, dtype};
    }
    // Samples [first, first + count).
    View samples(int64_t first, int64_t count) const;
};

// Memory of a backend; freed by it.
class Buffer {
  public:
    using Free = std::function<void(void*)>;
    Buffer() = default;
    Buffer(void* data, size_t bytes, Free free) : data_(data, std::move(free)), bytes_(bytes) {}
    void* data() const { return data_.get(); }
    size_t bytes() const { return bytes_; }
    View view(const Shape& shape, size_t offset = 0, DType dtype = DType::F32) const;

  private:
    std::unique_ptr<void, Free> data_{nullptr, [](void*) {}};
    size_t bytes_ = 0;
};

}  // namespace gs
