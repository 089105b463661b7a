// The matrix and copy instructions of the emulated device against their definition (PTX ISA, "matrix
// fragments for mma.m16n8k16" and ".m16n8k8", "ldmatrix"), written out here once more as tables.
#include <gtest/gtest.h>

#include <functional>

#include "cuda/kernels/arrivals.cuh"
#include "cuda/kernels/launch.h"
#include "cuda/kernels/mma.cuh"
#include "tests/support/random.h"

namespace gs::cuda {
namespace {

// Which element of an operand lane `lane` holds in value v of its fragment: {row or column, depth}.
struct Element {
    int line, depth;
};
Element bf16_a(int lane, int v) {
    const int group = lane >> 2, in_group = lane & 3;
    return {v == 0 || v == 1 || v == 4 || v == 5 ? group : group + 8,
            in_group * 2 + (v & 1) + (v >= 4 ? 8 : 0)};
}
Element bf16_b(int lane, int v) {
    return {lane >> 2, (lane & 3) * 2 + (v & 1) + (v >= 2 ? 8 : 0)};
}
Element tf32_a(int lane, int v) {
    return {(lane >> 2) + (v == 1 || v == 3 ? 8 : 0), (lane & 3) + (v >= 2 ? 4 : 0)};
}
Element tf32_b(int lane, int v) {
    return {lane >> 2, (lane & 3) + (v == 1 ? 4 : 0)};
}

struct Operands {
    float a[16][16], b[16][8];  // depth 8 uses the half of it

    explicit Operands(uint64_t seed) {
        test::SplitMix64 random(seed);
        for (auto& row : a)
            for (float& value : row) value = static_cast<float>(random.integer(-9, 9));
        for (auto& row : b)
            for (float& value : row) value = static_cast<float>(random.integer(-9, 9));
    }
    float product(int row, int column, int depth) const {
        float sum = static_cast<float>(row + 100 * column);  // what the accumulator held
        for (int k = 0; k < depth; ++k) sum += a[row][k] * b[k][column];
        return sum;
    }
};

template <MmaType type>
void multiply_kernel(const Operands* operands, float (*d)[8]) {
    constexpr bool kBf16 = type == MmaType::Bf16;
    const int lane = static_cast<int>(threadIdx.x);
    uint32_t a[1][4] = {}, b[1][2] = {};
    const auto put = [](uint32_t* registers, int v, float value) {
        if (kBf16)
            registers[v / 2] |= static_cast<uint32_t>(Bf16(value).bits) << 16 * (v % 2);
        else
            registers[v] = rounded_to_tf32(value);
    };
    for (int v = 0; v < (kBf16 ? 8 : 4); ++v) {
        const Element e = kBf16 ? bf16_a(lane, v) : tf32_a(lane, v);
        put(a[0], v, operands->a[e.line][e.depth]);
    }
    for (int v = 0; v < (kBf16 ? 4 : 2); ++v) {
        const Element e = kBf16 ? bf16_b(lane, v) : tf32_b(lane, v);
        put(b[0], v, operands->b[e.depth][e.line]);
    }
    float tile[1][1][4];
    for (int i = 0; i < 4; ++i)
        tile[0][0][i] = static_cast<float>(accumulator_row(lane, i) + 100 * accumulator_column(lane, i));
    multiply<type>(tile, a, b);
    for (int i = 0; i < 4; ++i) d[accumulator_row(lane, i)][accumulator_column(lane, i)] = tile[0][0][i];
}

TEST(TensorCore, MultipliesFragments) {
    Context context({});
    for (const bool bf16 : {true, false}) {
        const Operands operands(bf16 ? 1 : 2);
        float d[16][8] = {};
        launch(context, "product", bf16 ? multiply_kernel<MmaType::Bf16> : multiply_kernel<MmaType::Tf32>,
               dim3(1), dim3(32), 0, &operands, d);
        for (int row = 0; row < 16; ++row)
            for (int column = 0; column < 8; ++column)
                EXPECT_EQ(d[row][column], operands.product(row, column, bf16 ? 16 : 8))
                    << row << ", " << column << (bf16 ? " bf16" : " tf32");
    }
}

void truncation_kernel(float* out) {
    uint32_t a[1][4] = {}, b[1][2] = {};
    const int lane = static_cast<int>(threadIdx.x);
    if (lane % 4 == 0) {  // depth 0 of every row and column: 1 * 2^-24, three quarters of it lost
        a[0][0] = rounded_to_tf32(1.0f);
        b[0][0] = rounded_to_tf32(0.75f * 0x1p-23f);
    }
    float tile[1][1][4] = {{{1, -1, 1, 1}}};
    multiply<MmaType::Tf32>(tile, a, b);
    if (lane == 0) out[0] = tile[0][0][0], out[1] = tile[0][0][1];
}

TEST(TensorCore, CutsItsSumsOff) {
    Context context({});
    float out[2];
    launch(context, "truncation", truncation_kernel, dim3(1), dim3(32), 0, out);
    EXPECT_EQ(out[0], 1.0f) << "1 + 0.75 ulp";
    EXPECT_EQ(out[1], -1 + 0x1p-23f) << "-1 + 0.75 ulp of 1 lies between two numbers; cut towards zero";
}

void transposed_kernel(const uint16_t* matrices, uint32_t* out) {
    uint32_t r[4];
    load_transposed(r, matrices + threadIdx.x * 8);
    for (int i = 0; i < 4; ++i) out[threadIdx.x * 4 + static_cast<unsigned>(i)] = r[i];
}

TEST(TensorCore, LoadsTransposedMatrices) {
    Context context({});
    alignas(16) uint16_t matrices[4 * 64];
    for (unsigned i = 0; i < 256; ++i) matrices[i] = static_cast<uint16_t>(i);
    uint32_t out[32 * 4];
    launch(context, "ldmatrix", transposed_kernel, dim3(1), dim3(32), 0, matrices, out);
    for (unsigned lane = 0; lane < 32; ++lane)
        for (unsigned matrix = 0; matrix < 4; ++matrix) {
            const unsigned row = lane % 4 * 2, column = lane / 4, first = matrix * 64 + row * 8 + column;
            EXPECT_EQ(out[lane * 4 + matrix], first | (first + 8) << 16) << lane << ", " << matrix;
        }
}

TEST(TensorCore, RoundsToTf32) {
    const auto rounded = [](float value) { return tf32_value(rounded_to_tf32(value)); };
    EXPECT_EQ(rounded(1 + 0x1p-10f), 1 + 0x1p-10f);
    EXPECT_EQ(rounded(1 + 0x1p-11f), 1 + 0x1p-10f) << "a tie goes away from zero";
    EXPECT_EQ(rounded(-1 - 0x1p-11f), -1 - 0x1p-10f);
    EXPECT_EQ(rounded(1 + 0x1.fp-12f), 1.0f);
    EXPECT_EQ(rounded(2 - 0x1p-23f), 2.0f);
    EXPECT_TRUE(std::isnan(rounded(std::nanf(""))));
    EXPECT_EQ(rounded(-INFINITY), -INFINITY);
}

struct Copied {
    float before_waiting[8], then[8], absent;
};
void copy_kernel(const float* from, Copied* copied) {
    GS_DYNAMIC_SHARED(float, shared);
    for (int i = 0; i < 8; ++i) {
        copy_async<16>(shared + 4 * i, from + 4 * i, true);
        commit_copies();
    }
    copy_async<4>(shared + 32, from, false);
    commit_copies();
    for (int i = 0; i < 8; ++i) copied->before_waiting[i] = shared[4 * i + 3];
    wait_for_copies<1>();
    for (int i = 0; i < 8; ++i) copied->then[i] = shared[4 * i + 3];
    wait_for_copies<0>();
    copied->absent = shared[32];
}

TEST(TensorCore, CopiesAreThereOnceWaitedFor) {
    Context context({});
    alignas(16) float from[32];
    for (int i = 0; i < 32; ++i) from[i] = static_cast<float>(i);
    int early = 0;
    for (int run = 0; run < 8; ++run) {
        Copied copied;
        launch(context, "copies", copy_kernel, dim3(1), dim3(1), 256, from, &copied);
        for (int i = 0; i < 8; ++i) {
            EXPECT_EQ(copied.then[i], from[4 * i + 3]);
            early += copied.before_waiting[i] == from[4 * i + 3];
        }
        EXPECT_EQ(copied.absent, 0.0f);
    }
    EXPECT_GT(early, 8) << "some are done at once";
    EXPECT_LT(early, 56) << "and some are not";
}

// Every block adds up what its group wrote; group after group in one kernel.
constexpr unsigned kGroup = 5;
void group_kernel(unsigned* counters, float* written, float* sums) {
    const unsigned place = take_ticket(counters), group = place / kGroup;
    if (threadIdx.x == 0) written[place] = static_cast<float>(place + 1);
    wait_for_group(counters + 1 + group, kGroup);
    float sum = 0;
    for (unsigned i = 0; i < kGroup; ++i) sum += __ldcg(written + group * kGroup + i);
    if (threadIdx.x == 0) sums[place] = sum;
}

TEST(Arrivals, AGroupSeesWhatAllOfItWrote) {
    Context context({});
    constexpr unsigned kGroups = 3;
    unsigned counters[1 + kGroups] = {};
    float written[kGroup * kGroups], sums[kGroup * kGroups];
    launch(context, "groups", group_kernel, dim3(kGroup * kGroups), dim3(64), 0, counters, written, sums);
    for (unsigned place = 0; place < kGroup * kGroups; ++place)
        EXPECT_EQ(sums[place], static_cast<float>(15 + 25 * (place / kGroup))) << place;
}

TEST(Arrivals, WaitingForMoreThanThereIsIsFound) {
    Context context({});
    unsigned counters[2] = {};
    float values[8];
    EXPECT_THROW(
        launch(context, "too few", group_kernel, dim3(kGroup - 1), dim3(32), 0, counters, values, values),
        std::logic_error);
}

}  // namespace
}  // namespace gs::cuda
