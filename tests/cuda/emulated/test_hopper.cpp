// Compute capability 9.0's instructions on the emulated device against their definition (PTX ISA,
// "wgmma", "tensors" and "mbarrier"), written out here once more; and that a descriptor with one wrong field
// gives other numbers.
#include <gtest/gtest.h>

#include "cuda/kernels/hopper.cuh"
#include "cuda/kernels/launch.h"
#include "tests/cuda/norms/gradient_problem.h"
#include "tests/support/random.h"

namespace gs::cuda {
namespace {

constexpr int kBox = 32;            // positions: 8 x 4
constexpr int kPanel = kBox * 128;  // bytes
constexpr size_t kMemory = 24 * kPanel + kSwizzleSpan;

struct Maps {
    std::vector<Bf16> a, b;  // one sample each, 6 x 7 pixels, of 64 and of 250 channels
    CUtensorMap a_map, b_map;
    static constexpr int kH = 6, kW = 7, kA = 64, kB = 248;

    Maps() : a(kH * kW * kA), b(kH * kW * kB) {
        test::SplitMix64 random(5);
        for (auto* values : {&a, &b})
            for (Bf16& value : *values) value = Bf16(static_cast<float>(random.integer(-9, 9)));
        a_map = make_tensor_map({a.data(), {1, kH, kW, kA}, DType::BF16}, 4, 8);
        b_map = make_tensor_map({b.data(), {1, kH, kW, kB}, DType::BF16}, 4, 8);
    }
    static float at(const std::vector<Bf16>& values, int channels, int h, int w, int c) {
        const bool inside = h >= 0 && h < kH && w >= 0 && w < kW && c < channels;
        return inside ? static_cast<float>(values[static_cast<size_t>((h * kW + w) * channels + c)]) : 0.0f;
    }
};

__device__ unsigned char* aligned(unsigned char* memory) {
    return memory + (kSwizzleSpan - shared_address(memory) % kSwizzleSpan) % kSwizzleSpan;
}

// The box at (64, -1, 2), as it lies in shared memory.
void box_kernel(const CUtensorMap map, uint16_t* out) {
    GS_DYNAMIC_SHARED(unsigned char, memory);
    unsigned char* const box = aligned(memory);
    auto& barrier = *reinterpret_cast<Mbarrier*>(box + kPanel);
    if (threadIdx.x == 0) {
        init(barrier, 1);
        fence_barriers();
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        arrive_expecting(barrier, kPanel);
        load_box(box, map, 64, -1, 2, 0, barrier);
    }
    wait(barrier, 0);
    for (unsigned i = threadIdx.x; i < kPanel / 2; i += blockDim.x)
        out[i] = reinterpret_cast<const uint16_t*>(box)[i];
}

TEST(Hopper, BoxesAreSwizzledAndZeroOutside) {
    Context context({});
    const Maps maps;
    std::vector<uint16_t> out(kPanel / 2);
    launch(context, "box", box_kernel, dim3(1), dim3(64), kMemory, maps.b_map, out.data());
    for (int row = 0; row < kBox; ++row)
        for (int c = 0; c < 64; ++c) {
            const size_t at = static_cast<size_t>(row * 64 + (c / 8 ^ row % 8) * 8 + c % 8);
            EXPECT_EQ(std::bit_cast<float>(static_cast<uint32_t>(out[at]) << 16),
                      Maps::at(maps.b, Maps::kB, 2 + row / 8, -1 + row % 8, 64 + c))
                << row << ", " << c;
        }
}

struct Change {
    uint64_t a = 0, b = 0;  // bits that flip
    bool a_transposed = true, b_transposed = true;
};

// Positions 16 to 31 of the boxes at (0, 0): the second step.
void product_kernel(const CUtensorMap a_map, const CUtensorMap b_map, Change change, float (*d)[256]) {
    GS_DYNAMIC_SHARED(unsigned char, memory);
    unsigned char* const panels = aligned(memory);
    auto& barrier = *reinterpret_cast<Mbarrier*>(panels + 5 * kPanel);
    if (threadIdx.x == 0) {
        init(barrier, 1);
        fence_barriers();
    }
    for (unsigned i = threadIdx.x; i < 18 * kPanel; i += blockDim.x)
        panels[5 * kPanel + sizeof(Mbarrier) + i] = 0x40;  // what a wrong address may find
    __syncthreads();
    if (threadIdx.x == 0) {
        arrive_expecting(barrier, 5 * kPanel);
        load_box(panels, a_map, 0, 0, 0, 0, barrier);
        for (int i = 0; i < 4; ++i) load_box(panels + (1 + i) * kPanel, b_map, 64 * i, 0, 0, 0, barrier);
    }
    wait(barrier, 0);
    float tile[32][4];
    for (auto& fragment : tile)
        for (float& value : fragment) value = 1;
    fence_products();
    emulated::wgmma(&tile[0][0], 256, (panel_descriptor(panels, kPanel) + kDescriptorStep) ^ change.a,
                    (panel_descriptor(panels + kPanel, kPanel) + kDescriptorStep) ^ change.b,
                    change.a_transposed, change.b_transposed);
    commit_products();
    wait_for_products<0>();
    const int lane = static_cast<int>(threadIdx.x) % kWarpSize,
              warp = static_cast<int>(threadIdx.x) / kWarpSize;
    for (int n = 0; n < 32; ++n)
        for (int i = 0; i < 4; ++i)
            d[16 * warp + accumulator_row(lane, i)][8 * n + accumulator_column(lane, i)] = tile[n][i];
}

// How many of the products are wrong.
int wrong(const Maps& maps, const Change& change) {
    Context context({});
    static float d[64][256];
    launch(context, "product", product_kernel, dim3(1), dim3(kWarpgroup), kMemory, maps.a_map, maps.b_map,
           change, d);
    int count = 0;
    for (int row = 0; row < 64; ++row)
        for (int column = 0; column < 256; ++column) {
            float sum = 1;
            for (int s = 16; s < 32; ++s)
                sum += Maps::at(maps.a, Maps::kA, s / 8, s % 8, row) *
                       Maps::at(maps.b, Maps::kB, s / 8, s % 8, column);
            count += d[row][column] != sum;
        }
    return count;
}

TEST(Hopper, ProductsFollowTheirDescriptors) {
    const Maps maps;
    EXPECT_EQ(wrong(maps, {}), 0);
    const uint64_t one = 1;
    const std::pair<const char*, Change> wrong_ones[] = {{"start of a", {.a = one}},
                                                         {"start of b", {.b = one << 7}},
                                                         {"b's next panel", {.b = one << 20}},
                                                         {"a's next 8 positions", {.a = one << 36}},
                                                         {"b's next 8 positions", {.b = one << 36}},
                                                         {"a without swizzle", {.a = one << 62}},
                                                         {"b in 32-byte rows", {.b = one << 63}},
                                                         {"b in 64-byte rows", {.b = one << 62 | one << 63}},
                                                         {"a by depth", {.a_transposed = false}},
                                                         {"b by depth", {.b_transposed = false}}};
    for (const auto& [what, change] : wrong_ones) EXPECT_GT(wrong(maps, change), 64 * 256 / 2) << what;
    EXPECT_EQ(wrong(maps, {.a = one << 20}), 0) << "64 rows are one panel: there is no next";
    EXPECT_THROW(wrong(maps, {.a = one << 14}), std::logic_error) << "a bit of no field";
    EXPECT_THROW(wrong(maps, {.a = one << 49}), std::logic_error) << "a's base offset";
    EXPECT_THROW(wrong(maps, {.b = one << 51}), std::logic_error) << "b's base offset";
    EXPECT_THROW(wrong(maps, {.b = one << 3}), std::logic_error) << "a start within the pattern";
}

void unfenced_kernel(float* out) {
    GS_DYNAMIC_SHARED(unsigned char, memory);
    float tile[32][4] = {};
    start_product(tile, panel_descriptor(aligned(memory), kPanel), panel_descriptor(aligned(memory), kPanel));
    out[0] = tile[0][0];
}
TEST(Hopper, ProductsNeedAFence) {
    Context context({});
    float out;
    EXPECT_THROW(launch(context, "", unfenced_kernel, dim3(1), dim3(kWarpgroup), kMemory, &out),
                 std::logic_error);
}

// Two rounds through a barrier: one thread gives, the others take and give back.
void barrier_kernel(int* seen, int never) {
    GS_DYNAMIC_SHARED(unsigned char, memory);
    auto& full = *reinterpret_cast<Mbarrier*>(memory);
    auto& empty = *reinterpret_cast<Mbarrier*>(memory + 8);
    auto& value = *reinterpret_cast<int*>(memory + 16);
    if (threadIdx.x == 0) {
        init(full, 1 + never);
        init(empty, 63);
        fence_barriers();
    }
    __syncthreads();
    for (unsigned round = 0; round < 5; ++round) {
        if (threadIdx.x == 0) {
            wait(empty, round % 2 ^ 1);
            value = static_cast<int>(round);
            arrive(full);
        } else {
            wait(full, round % 2);
            seen[threadIdx.x] += value == static_cast<int>(round);
            arrive(empty);
        }
    }
}
TEST(Hopper, BarriersKeepRoundsApart) {
    Context context({});
    int seen[64] = {};
    launch(context, "rounds", barrier_kernel, dim3(1), dim3(64), 64, seen, 0);
    for (int thread = 1; thread < 64; ++thread) EXPECT_EQ(seen[thread], 5) << thread;
    EXPECT_THROW(launch(context, "rounds", barrier_kernel, dim3(1), dim3(64), 64, seen, 1), std::logic_error);
}

TEST(TensorMap, RefusesWhatTheDriverDoes) {
    alignas(16) static Bf16 memory[64];
    EXPECT_THROW(make_tensor_map({memory + 1, {1, 1, 1, 64}, DType::BF16}, 1, 16), Error);
    EXPECT_THROW(make_tensor_map({memory, {1, 1, 1, 60}, DType::BF16}, 1, 16), Error);
    EXPECT_THROW(make_tensor_map({memory, {1, 1, 1, 64}, DType::BF16}, 1, 257), Error);
    EXPECT_THROW(make_tensor_map({memory, {1, 1, 1, 64}, DType::F32}, 1, 16), Error);
}

TEST(WgmmaKernel, NeedsComputeCapability90) {
    for (const int capability : {80, 100, 120}) {
        emulated::set_compute_capability(capability);
        EXPECT_NO_THROW(Context({}));
        EXPECT_THROW(Context({.wgmma_norms = true}), Error) << capability;
    }
    emulated::set_compute_capability(90);
    EXPECT_NO_THROW(Context({.wgmma_norms = true}));
}

// A block of wgmma's copies six panels a box; what else takes its place copies none.
TEST(WgmmaKernel, RunsWhereItIsAskedFor) {
    const test::Layer layer{"", {2, 15, 15, 64}, {64, 72, 3, 3, 1, 1, 1}, false, true};
    const test::Problem problem(layer, 1);
    const auto boxes = [&](Precision precision, bool wgmma) {
        const size_t before = emulated::loaded_boxes();
        const DType maps = precision == Precision::BF16 ? DType::BF16 : DType::F32;
        problem.norms(test::backend_of(precision, wgmma), {1}, maps, maps);
        return emulated::loaded_boxes() - before;
    };
    EXPECT_EQ(boxes(Precision::BF16, true), size_t{2 * 3 * 3 * 6}) << "rows, tiles, boxes, panels";
    EXPECT_EQ(boxes(Precision::BF16, false), 0u);
    EXPECT_EQ(boxes(Precision::F32, true), 0u);
}

}  // namespace
}  // namespace gs::cuda
