// |v|^p and how such values combine to a norm.
#pragma once

#include "cuda/kernels/device.cuh"

namespace gs::cuda {

enum class Power : uint8_t { Half, One, Two, Three, Any, Largest };

// An exponent as kernels see it.
struct Exponent {
    Power power = Power::One;
    float p = 1;

    Exponent() = default;
    explicit Exponent(double exponent) : p(static_cast<float>(exponent)) {
        if (exponent == 0.5)
            power = Power::Half;
        else if (exponent == 1)
            power = Power::One;
        else if (exponent == 2)
            power = Power::Two;
        else if (exponent == 3)
            power = Power::Three;
        else if (std::isinf(exponent))
            power = Power::Largest;
        else
            power = Power::Any;
    }
};

GS_HOST_DEVICE inline float power(float v, const Exponent& exponent) {
    const float size = fabsf(v);
    switch (exponent.power) {
        case Power::Half:
            return sqrtf(size);
        case Power::One:
        case Power::Largest:
            return size;
        case Power::Two:
            return size * size;
        case Power::Three:
            return size * size * size;
        case Power::Any:
            break;
    }
    return powf(size, exponent.p);
}

// Once there is a NaN it stays.
template <class T>
GS_HOST_DEVICE T combined(T total, T value, const Exponent& exponent) {
    if (exponent.power != Power::Largest) return total + value;
    return value <= total || total != total ? total : value;
}

// Over a block, in a fixed order, for every thread.
__device__ inline double combined_over_block(double value, const Exponent& exponent) {
    if (exponent.power != Power::Largest) return sum_over_block(value);
    // A NaN would lose every comparison: count them apart.
    const bool is_nan = value != value;
    const double largest = max_over_block(is_nan ? 0.0 : value);
    return max_over_block(is_nan ? 1 : 0) != 0 ? nan("") : largest;
}

// Exponents of one product.
constexpr int kMostNorms = 8;
struct Exponents {
    Exponent of[kMostNorms];
    int count = 0;
};

}  // namespace gs::cuda
