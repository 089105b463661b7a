// Panels of an unfolded input. The columns of one kernel row are neighbours in memory, in a map's row: taps
// and channels need not be told apart, and padding is what lies outside of the row.
#include "cpu/kernels/declarations.h"
#include "cpu/kernels/gemm.h"

namespace gs::cpu::GS_ISA {
namespace {

GS_INLINE void copy_panel_row(const float* from, float* to) {
    Full::store(to, Full::load(from));
    Full::store(to + kLanes, Full::load(from + kLanes));
}
GS_INLINE void clear_panel_row(float* to) {
    Full::store(to, Vec{});
    Full::store(to + kLanes, Vec{});
}

// Columns of the unfolded input in one row of the kernel.
struct KernelRow {
    int64_t kh, offset;  // of the first column, in floats from the window's left edge
    explicit KernelRow(const UnfoldBlock& b, int64_t column)
        : kh(column / (b.kernel_w * b.c)), offset(column % (b.kernel_w * b.c)) {}
};

// A window's row in memory: where its first column lies in the map's row, which ends at `end`. A row outside
// of the map is an empty one.
struct Window {
    const float* row;
    int64_t start, end;

    GS_INLINE Window at(const UnfoldBlock& b, const KernelRow& k, int64_t oh, int64_t ow) {
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
            to[j] = i >= 0 && i < v.end ? v.row[i] : 0.0f;
        }
    }
};

// Positions [ow, end) of one row of the map, all columns in one row of the kernel.
void unfold_stretch(const UnfoldBlock& b, const KernelRow& k, int64_t oh, int64_t ow, int64_t end,
                    float* to) {
    Window window = Window::at(b, k, oh, ow);
    const int64_t step = b.stride * b.c;
    for (; ow < end && window.start < 0; ++ow, window.start += step, to += kColumns)
        Window::copy(window, kColumns, to);
    const float* from = window.row + window.start;
    for (; ow < end && window.start + kColumns <= window.end; ++ow, window.start += step, to += kColumns) {
        copy_panel_row(from, to);
        from += step;
    }
    for (; ow < end; ++ow, window.start += step, to += kColumns) Window::copy(window, kColumns, to);
}

// Any columns: runs of one kernel row each, left to right, so that what is written too much is overwritten.
void unfold_position(const UnfoldBlock& b, int64_t oh, int64_t ow, float* to) {
    for (int64_t j = 0; j < b.columns;) {
        const KernelRow k(b, b.column + j);
        const int64_t run = b.kernel_w * b.c - k.offset, left = b.columns - j;
        const int64_t count = run < left ? run : left;
        Window::copy(Window::at(b, k, oh, ow), count, to + j);
        j += count;
    }
    if (b.columns < kColumns) clear_panel_row(to + b.columns);
}

}  // namespace

void unfold(const UnfoldBlock& block, float* panel) {
    const KernelRow k(block, block.column);
    const bool one_row = block.columns == kColumns && k.offset + kColumns <= block.kernel_w * block.c;
    const int64_t end = block.first + block.count;
    for (int64_t s = block.first; s < end;) {
        const int64_t oh = s / block.out_w, ow = s % block.out_w;
        const int64_t left = end - s, stretch = block.out_w - ow < left ? block.out_w - ow : left;
        if (one_row) {
            unfold_stretch(block, k, oh, ow, ow + stretch, panel);
        } else {
            for (int64_t i = 0; i < stretch; ++i) unfold_position(block, oh, ow + i, panel + i * kColumns);
        }
        s += stretch;
        panel += stretch * kColumns;
    }
}

}  // namespace gs::cpu::GS_ISA
