// What compute capability 9.0 adds: barriers in shared memory, boxes of a map that TMA copies there, and
// products of a warpgroup that read it by descriptor (PTX ISA 8.0, sm_90a). On the emulated device the same
// functions follow the same rules (tests/emulated_cuda/hopper.h).
#pragma once

#include "cuda/kernels/mma.cuh"
#include "cuda/tensor_map.h"

namespace gs::cuda {

// ---- mbarrier: a phase ends when all arrivals and all announced bytes are there ------------------------

struct alignas(8) Mbarrier {
    uint64_t state;
};

// By one thread. What follows it (fence_barriers, then a barrier of the block) makes it seen.
__device__ inline void init(Mbarrier& barrier, int arrivals) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(arrivals)
                 : "memory");
#else
    emulated::mbarrier_init(&barrier.state, arrivals);
#endif
}
__device__ inline void fence_barriers() {
#if defined(__CUDACC__)
    asm volatile("fence.mbarrier_init.release.cluster;\n\tfence.proxy.async.shared::cta;" ::: "memory");
#endif
}
__device__ inline void arrive(Mbarrier& barrier) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier)) : "memory");
#else
    emulated::mbarrier_arrive(&barrier.state);
#endif
}
__device__ inline void arrive_expecting(Mbarrier& barrier, int bytes) {
#if defined(__CUDACC__)
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)),
                 "r"(bytes)
                 : "memory");
#else
    emulated::mbarrier_arrive_expecting(&barrier.state, bytes);
#endif
}
// Until the phase of this parity has ended; phases count from 0. The one before the first has.
__device__ inline void wait(Mbarrier& barrier, unsigned parity) {
#if defined(__CUDACC__)
    uint32_t done = 0;
    while (done == 0)
        asm volatile(
            "{\n\t.reg .pred p;\n\t"
            "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
            "selp.u32 %0, 1, 0, p;\n\t}"
            : "=r"(done)
            : "r"(shared_address(&barrier)), "r"(parity)
            : "memory");
#else
    emulated::mbarrier_wait(&barrier.state, parity);
#endif
}

// ---- TMA -------------------------------------------------------------------------------------------------

// The box at (c, w, h, n) of a map of four dimensions, parts outside as zeros; its bytes count at `barrier`.
__device__ inline void load_box(void* shared, const CUtensorMap& map, int c, int w, int h, int n,
                                Mbarrier& barrier) {
#if defined(__CUDACC__)
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%2, %3, %4, %5}], [%6];" ::"r"(shared_address(shared)),
        "l"(&map), "r"(c), "r"(w), "r"(h), "r"(n), "r"(shared_address(&barrier))
        : "memory");
#else
    emulated::load_box(shared, map, {c, w, h, n}, &barrier.state);
#endif
}

// ---- wgmma -----------------------------------------------------------------------------------------------

constexpr int kWarpgroup = 128;
constexpr int kSwizzleSpan = 1024;  // bytes after which the 128-byte swizzle repeats

// A bfloat16 operand whose rows or columns, not its depth, lie side by side in memory ("MN-major"), in
// 128-byte swizzled panels of 64: a line of 128 bytes for each depth, 1024 bytes for 8 of them. `panel` bytes
// from one panel to the next. The address is a multiple of 1024 (so the base offset is 0).
__device__ inline uint64_t panel_descriptor(const void* shared, int panel) {
    const auto encoded = [](uint32_t bytes) { return static_cast<uint64_t>((bytes & 0x3ffffu) >> 4); };
    constexpr uint64_t kSwizzle128 = 1;
    return encoded(shared_address(shared)) | encoded(static_cast<uint32_t>(panel)) << 16 |
           encoded(kSwizzleSpan) << 32 | kSwizzle128 << 62;
}
// 16 further along the depth, as panel_descriptor's.
constexpr uint64_t kDescriptorStep = 16 * 128 / 16;

// Before a group's first product: registers that hold its sums have been written.
__device__ inline void fence_products() {
#if defined(__CUDACC__)
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
    emulated::wgmma_fence();
#endif
}
__device__ inline void commit_products() {
#if defined(__CUDACC__)
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
    emulated::wgmma_commit();
#endif
}
// Until at most the last kLeft groups are under way: the others' sums are there, their operands were read.
template <int kLeft>
__device__ void wait_for_products() {
#if defined(__CUDACC__)
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
#else
    emulated::wgmma_wait(kLeft);
#endif
}
// The compiler moves no use of the sums past this.
template <int N>
__device__ void pin(float (&d)[N][4]) {
#if defined(__CUDACC__)
    GS_UNROLL
    for (int n = 0; n < N; ++n) {
        GS_UNROLL
        for (int i = 0; i < 4; ++i) asm volatile("" : "+f"(d[n][i])::"memory");
    }
#else
    (void)d;
#endif
}

// D(64,256) += A(64,16) B(16,256) of a warpgroup, both MN-major. A warp has 16 rows of D, a fragment as
// mma.cuh's for every 8 columns. Under way until waited for; every thread of the warpgroup must call it.
__device__ inline void start_product(float (&d)[32][4], uint64_t a, uint64_t b) {
#if defined(__CUDACC__)
#define GS_F(n) "+f"(d[n][0]), "+f"(d[n][1]), "+f"(d[n][2]), "+f"(d[n][3])
#define GS_F8(n) \
    GS_F(n), GS_F(n + 1), GS_F(n + 2), GS_F(n + 3), GS_F(n + 4), GS_F(n + 5), GS_F(n + 6), GS_F(n + 7)
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {"
        "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
        "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
        "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63,"
        "%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,"
        "%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,"
        "%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,"
        "%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"
        "}, %128, %129, 1, 1, 1, 1, 1;"
        : GS_F8(0), GS_F8(8), GS_F8(16), GS_F8(24)
        : "l"(a), "l"(b));
#undef GS_F8
#undef GS_F
#else
    emulated::wgmma(&d[0][0], 256, a, b, true, true);
#endif
}

}  // namespace gs::cuda
