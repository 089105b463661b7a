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

}  // namespace gs::cpu
