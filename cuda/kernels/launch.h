// Launching kernels, and the few shapes in which all of them walk over their tensors.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "cuda/context.h"

namespace gs::cuda {

// Dynamic shared memory that a kernel has without asking: of 48 KiB what its static memory leaves.
constexpr size_t kSharedUnasked = size_t{32} << 10;

// A kernel's name stands in the message of a launch that fails.
template <class... Parameters, class... Arguments>
void launch(const Context& context, const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block,
            size_t shared_bytes, Arguments... arguments) {
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = context.stream();
    if (shared_bytes > kSharedUnasked)
        allow_shared_memory(reinterpret_cast<const void*>(kernel), context.device().ordinal, shared_bytes,
                            name);
    check(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), name);
}

constexpr int64_t kBlock = 256;

// Of a grid along x. Along y and z there are at most 65535 blocks: only what is few for certain goes there.
inline unsigned grid_size(int64_t blocks) {
    GS_REQUIRE(blocks >= 0 && blocks < (int64_t{1} << 31));
    return static_cast<unsigned>(blocks);
}

inline unsigned blocks_for(int64_t count, int64_t each = kBlock) {
    return grid_size((count + each - 1) / each);
}

// How a map (rows,h,w,c) is walked: a thread takes `width` neighbouring channels of every step_pixels()-th
// pixel of a slab. The cut depends on pixels, channels and type alone, never on the batch: sums are the same
// bits in any.
struct Sweep {
    int64_t rows = 0, pixels = 0, channels = 0;
    int width = 1;  // channels a thread, in one access of 16 bytes where they divide
    int lanes = 1;  // threads side by side
    int64_t slabs = 1;
    int pixels_a_thread = 8;  // more of maps that would have more slabs than a grid has blocks along y

    static constexpr int64_t kMostSlabs = 65535;

    Sweep(const Shape& shape, int channels_a_thread)
        : rows(shape.n), pixels(shape.pixels()), channels(shape.c), width(channels_a_thread) {
        while (lanes < 64 && lanes * width < channels) lanes *= 2;
        while (pixels > kMostSlabs * slab_pixels()) pixels_a_thread *= 2;
        slabs = std::max<int64_t>(1, (pixels + slab_pixels() - 1) / slab_pixels());
    }
    int step_pixels() const { return static_cast<int>(kBlock) / lanes; }
    int64_t slab_pixels() const { return int64_t{pixels_a_thread} * step_pixels(); }
    dim3 block() const { return {static_cast<unsigned>(lanes), static_cast<unsigned>(step_pixels()), 1}; }
    // Rows along x, of which there may be most. Each index is one of the block's own: what a division would
    // find takes registers, and kernels spilled.
    dim3 grid() const {
        return {grid_size(rows), grid_size(slabs), blocks_for(channels, int64_t{lanes} * width)};
    }
};

// Calls f(T{}) with the type of a map's values.
template <class F>
void with_type(DType type, const F& f) {
    if (type == DType::BF16) {
        f(Bf16{});
    } else {
        GS_REQUIRE(type == DType::F32);
        f(float{});
    }
}

// Channels that one access of 16 bytes takes, where every row of every view allows it.
template <class T>
constexpr int kWide = static_cast<int>(16 / sizeof(T));

inline bool is_aligned(const View& view) {
    return reinterpret_cast<uintptr_t>(view.data) % 16 == 0;
}

template <int value>
struct Constant {
    static constexpr int kValue = value;
};

// Calls f(T{}, Constant<W>{}): W channels a thread, all that fit 16 bytes where `channels` and the views'
// memory allow it, else one.
template <class F>
void with_type_and_width(DType type, int64_t channels, std::span<const View> views, const F& f) {
    with_type(type, [&](auto value) {
        using T = decltype(value);
        const bool wide = channels % kWide<T> == 0 && std::all_of(views.begin(), views.end(), is_aligned);
        if (wide) {
            f(value, Constant<kWide<T>>{});
        } else {
            f(value, Constant<1>{});
        }
    });
}

}  // namespace gs::cuda
