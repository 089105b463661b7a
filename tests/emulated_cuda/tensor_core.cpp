#include "tests/emulated_cuda/tensor_core.h"

#include <cuda_runtime.h>

#include <bit>
#include <stdexcept>
#include <vector>

namespace gs::emulated {
namespace {

// Calls f(pointers of all lanes) once for the warp, between two barriers.
template <class T, class F>
void for_the_warp(T* mine, const F& f) {
    std::byte* slots = warp_exchange();
    std::memcpy(slots + lane() * kExchangeBytes, &mine, sizeof mine);
    warp_barrier();
    if (lane() == 0) {
        T* all[kWarp];
        for (unsigned l = 0; l < kWarp; ++l) std::memcpy(&all[l], slots + l * kExchangeBytes, sizeof(T*));
        f(all);
    }
    warp_barrier();
}

struct Operands {
    float* d;
    const uint32_t *a, *b;
};

// The values of a register: two bfloat16, or one tf32.
double bf16_of(uint32_t bits, unsigned half) {
    return std::bit_cast<float>(half == 0 ? bits << 16 : bits & 0xffff0000u);
}
double tf32_of(uint32_t bits) {
    return std::bit_cast<float>(bits & ~0x1fffu);
}

constexpr int kMost = 16;  // depth, and rows of an instruction
struct Dense {
    std::vector<double> a, b;  // [16 m][depth], [depth][8 n]
};

void gather(bool bf16, Operands* const* lanes, int m, int n, Dense& dense) {
    const int depth = bf16 ? 16 : 8;
    dense.a.resize(static_cast<size_t>(kMost * m * depth));
    dense.b.resize(static_cast<size_t>(depth * 8 * n));
    for (int lane = 0; lane < static_cast<int>(kWarp); ++lane) {
        const int g = lane / 4, t = lane % 4;
        const auto put = [&](bool of_a, int at, uint32_t bits, int depth_at) {  // one register's values
            double* to = of_a ? dense.a.data() + at * depth : dense.b.data() + at;
            const int step = of_a ? 1 : 8 * n;
            if (!bf16) {
                to[depth_at * step] = tf32_of(bits);
            } else {
                to[depth_at * step] = bf16_of(bits, 0);
                to[(depth_at + 1) * step] = bf16_of(bits, 1);
            }
        };
        const int scale = bf16 ? 2 : 1, half = bf16 ? 8 : 4;
        for (int i = 0; i < m; ++i)
            for (int r = 0; r < 4; ++r)
                put(true, 16 * i + g + 8 * (r % 2), lanes[lane]->a[4 * i + r], scale * t + half * (r / 2));
        for (int j = 0; j < n; ++j)
            for (int r = 0; r < 2; ++r)
                put(false, 8 * j + g, lanes[lane]->b[2 * j + r], scale * t + half * r);
    }
}

void multiply_dense(bool bf16, Operands* const* lanes, int m, int n) {
    static thread_local Dense dense;
    gather(bf16, lanes, m, n, dense);
    const int depth = bf16 ? 16 : 8, columns = 8 * n;
    std::vector<double>& line = []() -> std::vector<double>& {
        static thread_local std::vector<double> kept;
        return kept;
    }();
    line.resize(static_cast<size_t>(columns));
    for (int row = 0; row < 16 * m; ++row) {
        std::fill(line.begin(), line.end(), 0.0);
        for (int k = 0; k < depth; ++k) {
            const double a = dense.a[static_cast<size_t>(row * depth + k)];
            const double* b = dense.b.data() + k * columns;
            for (int c = 0; c < columns; ++c) line[static_cast<size_t>(c)] += a * b[c];
        }
        for (int c = 0; c < columns; ++c) {
            const int lane = row % 8 * 4 + c % 8 / 2, i = row % 16 / 8 * 2 + c % 2;
            float& d = lanes[lane]->d[(row / 16 * n + c / 8) * 4 + i];
            d = cut_to_float(line[static_cast<size_t>(c)] + static_cast<double>(d));
        }
    }
}

void require_aligned(const void* address, size_t bytes) {
    if (reinterpret_cast<uintptr_t>(address) % bytes != 0)
        throw std::logic_error("an address that is no multiple of " + std::to_string(bytes));
}

}  // namespace

void multiply(bool bf16, float* d, const uint32_t* a, const uint32_t* b, int m, int n) {
    Operands mine{d, a, b};
    for_the_warp(&mine, [&](Operands* const* lanes) { multiply_dense(bf16, lanes, m, n); });
}

void load_transposed(uint32_t* registers, const void* row) {
    struct Place {
        uint32_t* registers;
        const void* row;
    } mine{registers, row};
    require_aligned(row, 16);
    for_the_warp(&mine, [](Place* const* lanes) {
        for (unsigned l = 0; l < kWarp; ++l)
            for (unsigned r = 0; r < 4; ++r) {
                const auto at = [&](unsigned matrix_row) {
                    uint16_t value;
                    std::memcpy(&value,
                                static_cast<const std::byte*>(lanes[8 * r + matrix_row]->row) + l / 4 * 2, 2);
                    return static_cast<uint32_t>(value);
                };
                lanes[l]->registers[r] = at(l % 4 * 2) | at(l % 4 * 2 + 1) << 16;
            }
    });
}

float cut_to_float(double exact) {
    const auto rounded = static_cast<float>(exact);
    if (std::abs(static_cast<double>(rounded)) <= std::abs(exact) || rounded != rounded) return rounded;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(rounded) - 1);
}

uint32_t rounded_to_tf32(float value) {
    const auto bits = std::bit_cast<uint32_t>(value);
    const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
    return finite ? bits + 0x1000u : value != value ? 0x7fffffffu : bits;
}

void copy_async(void* to, const void* from, size_t bytes, bool exists) {
    require_aligned(to, bytes);
    require_aligned(from, bytes);
    start_copy({to, exists ? from : nullptr, bytes});
}

}  // namespace gs::emulated
