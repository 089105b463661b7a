// bfloat16 as a storage type: the upper half of a float32, rounded to nearest, ties to even. Arithmetic is
// float32's. The same code runs in kernels and on the host.
#pragma once

#include <bit>
#include <cstdint>

#if defined(__CUDACC__)
#define GS_HOST_DEVICE __host__ __device__
#else
#define GS_HOST_DEVICE
#endif

namespace gs {

struct Bf16 {
    uint16_t bits = 0;

    Bf16() = default;
    GS_HOST_DEVICE explicit Bf16(float value) : bits(round(value)) {}
    GS_HOST_DEVICE explicit operator float() const {
        return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    }

  private:
    GS_HOST_DEVICE static uint16_t round(float value) {
        const auto all = std::bit_cast<uint32_t>(value);
        const bool is_nan = (all & 0x7fffffffu) > 0x7f800000u;
        if (is_nan)
            return static_cast<uint16_t>((all >> 16) | 0x40u);  // quiet; rounding could make it infinite
        return static_cast<uint16_t>((all + 0x7fffu + ((all >> 16) & 1u)) >> 16);
    }
};
static_assert(sizeof(Bf16) == 2);

}  // namespace gs
