// The type that maps are stored as, from a view's run-time value to a compile-time one.
#pragma once

#include "core/tensor.h"

namespace gs::cpu {

// body(float{}) or body(Bf16{}).
template <class Body>
auto with_type(const View& map, const Body& body) {
    GS_REQUIRE(map.dtype != DType::U8);
    return map.dtype == DType::BF16 ? body(Bf16{}) : body(float{});
}

// Absent, or of this shape and stored like the others.
inline bool fits(const View& map, const Shape& shape, DType type) {
    return !map || (map.shape == shape && map.dtype == type);
}

inline bool alike(const View& a, const View& b) {
    return a.shape == b.shape && a.dtype == b.dtype;
}

}  // namespace gs::cpu
