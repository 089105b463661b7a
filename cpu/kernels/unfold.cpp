// Panels of an unfolded input and of gradients, float32 whatever the maps are. The columns of one kernel row
// are neighbours in memory, in a map's row: taps and channels need not be told apart, and padding is what
// lies outside of the row.
#include "cpu/kernels/declarations.h"
#include "cpu/kernels/gemm.h"

namespace gs::cpu::GS_ISA {
namespace {

template <class T>
GS_INLINE void copy_panel_row(const T* from, float* to) {
    Full::store(to, Full::load(from));
    Full::store(to + kLanes, Full::load(from + kLanes));
}
GS_INLINE void clear_panel_row(float* to) {
    Full::store(to, Vec{});
    Full::store(to + kLanes, Vec{});
}

// Columns of the unfolded input in one row of the kernel.
struct KernelRow {
    int64_t kh = 0, offset = 0;  // of the first column, in values from the window's left edge
    KernelRow() = default;
    template <class T>
    KernelRow(const UnfoldBlock<T>& b, int64_t column)
        : kh(column / (b.kernel_w * b.c)), offset(column % (b.kernel_w * b.c)) {}
};

// A window's row in memory: where its first column lies in the map's row, which ends at `end`. A row outside
// of the map is an empty one.
template <class T>
struct Window {
    const T* row;
    int64_t start, end;

    GS_INLINE Window at(const UnfoldBlock<T>& b, const KernelRow& k, int64_t oh, int64_t ow) {
        const int64_t ih = oh * b.stride - b.pad + k.kh;
        const bool inside = ih >= 0 && ih < b.h;
        return {b.x + (inside ? ih * b.w * b.c : 0), (ow * b.stride - b.pad) * b.c + k.offset,
                inside ? b.w * b.c : 0};
    }
    GS_INLINE bool whole(const Window& v) { return v.start >= 0 && v.start + kColumns <= v.end; }
    // `count` columns; may write zeros or anything up to a panel's row.
    GS_INLINE void copy(const Window& v, int64_t count, float* to) {
        if (whole(v)) return copy_panel_row(v.row + v.start, to);
        if (v.start + count <= 0 || v.start >= v.end) return clear_panel_row(to);
        for (int64_t j = 0; j < count; ++j) {
            const int64_t i = v.start + j;
            to[j] = i >= 0 && i < v.end ? value_of(v.row[i]) : 0.0f;
        }
    }
};

// Positions [ow, end) of one row of the map, all columns in one row of the kernel.
template <class T>
void unfold_stretch(const UnfoldBlock<T>& b, const KernelRow& k, int64_t oh, int64_t ow, int64_t end,
                    float* to) {
    auto window = Window<T>::at(b, k, oh, ow);
    const int64_t step = b.stride * b.c;
    for (; ow < end && window.start < 0; ++ow, window.start += step, to += kColumns)
        Window<T>::copy(window, kColumns, to);
    const T* from = window.row + window.start;
    for (; ow < end && window.start + kColumns <= window.end; ++ow, window.start += step, to += kColumns) {
        copy_panel_row(from, to);
        from += step;
    }
    for (; ow < end; ++ow, window.start += step, to += kColumns) Window<T>::copy(window, kColumns, to);
}

// A panel's columns cut into runs of one kernel row each.
struct Runs {
    struct Run {
        KernelRow k;
        int64_t first, count;
    };
    Run run[kColumns];
    int64_t count = 0;

    template <class T>
    GS_INLINE Runs of(const UnfoldBlock<T>& b) {
        Runs runs;
        for (int64_t j = 0; j < b.columns; j += runs.run[runs.count++].count) {
            const KernelRow k(b, b.column + j);
            const int64_t row = b.kernel_w * b.c - k.offset, left = b.columns - j;
            runs.run[runs.count] = {k, j, row < left ? row : left};
        }
        return runs;
    }
};

// Any columns: left to right, so that what is written too much is overwritten.
template <class T>
void unfold_position(const UnfoldBlock<T>& b, const Runs& runs, int64_t oh, int64_t ow, float* to) {
    for (int64_t i = 0; i < runs.count; ++i) {
        const Runs::Run& run = runs.run[i];
        Window<T>::copy(Window<T>::at(b, run.k, oh, ow), run.count, to + run.first);
    }
    if (b.columns < kColumns) clear_panel_row(to + b.columns);
}

// f(oh, ow, end, to) for the positions [ow, end) of every row of the map.
template <class T, class F>
GS_INLINE void for_each_stretch(const UnfoldBlock<T>& block, float* panel, const F& f) {
    const int64_t end = block.first + block.count;
    for (int64_t s = block.first; s < end;) {
        const int64_t oh = s / block.out_w, ow = s % block.out_w;
        const int64_t left = end - s, stretch = block.out_w - ow < left ? block.out_w - ow : left;
        f(oh, ow, ow + stretch, panel);
        s += stretch;
        panel += stretch * kColumns;
    }
}

template <class T>
void unfold(const UnfoldBlock<T>& block, float* panel) {
    const KernelRow k(block, block.column);
    if (block.columns == kColumns && k.offset + kColumns <= block.kernel_w * block.c)
        return for_each_stretch(block, panel, [&](int64_t oh, int64_t ow, int64_t end, float* to) {
            unfold_stretch(block, k, oh, ow, end, to);
        });
    const Runs runs = Runs::of(block);
    for_each_stretch(block, panel, [&](int64_t oh, int64_t ow, int64_t end, float* to) {
        for (; ow < end; ++ow, to += kColumns) unfold_position(block, runs, oh, ow, to);
    });
}

// A few positions at a time: their pixels stay in cache while every group of outputs takes its part, and what
// is written to a group is whole cache lines.
constexpr int64_t kPackedPositions = 8;

GS_INLINE void copy_rows(const float* from, float* to) {
    __builtin_memcpy(to, from, kRows * sizeof(float));
}
GS_INLINE void copy_rows(const Bf16* from, float* to) {
    for (int64_t r = 0; r < kRows; ++r) to[r] = value_of(from[r]);
}

template <class T>
void pack_gradient(const T* dy, int64_t pitch, int64_t count, int64_t outputs, float* to) {
    for (int64_t first = 0; first < count; first += kPackedPositions) {
        const int64_t end = count - first < kPackedPositions ? count : first + kPackedPositions;
        for (int64_t o = 0; o < outputs; o += kRows) {
            const int64_t rows = outputs - o < kRows ? outputs - o : kRows;
            const T* from = dy + first * pitch + o;
            float* row = to + o * count + first * kRows;
            for (int64_t s = first; s < end; ++s, from += pitch, row += kRows) {
                if (rows == kRows) {
                    copy_rows(from, row);
                } else {
                    for (int64_t r = 0; r < rows; ++r) row[r] = value_of(from[r]);
                }
            }
        }
    }
}

}  // namespace

template <class T>
void set_unfold(MapKernels<T>& table) {
    table.unfold = unfold<T>;
    table.pack_gradient = pack_gradient<T>;
}
template void set_unfold(MapKernels<float>&);
template void set_unfold(MapKernels<Bf16>&);

}  // namespace gs::cpu::GS_ISA
