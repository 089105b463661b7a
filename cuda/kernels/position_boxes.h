// Positions of a convolution's output, cut into boxes of one size that TMA loads one by one: with the input's
// box at the same place, shifted by a tap, positions beyond the output are zeros of dy. Needs no CUDA.
#pragma once

#include <utility>

#include "core/bfloat16.h"  // GS_HOST_DEVICE

namespace gs::cuda {

struct PositionBoxes {
    int out_h, out_w;  // of all positions
    int h = 0, w = 0;  // of a box

    static constexpr int kStep = 16;  // positions of one wgmma
    static constexpr int kMost = 80;  // of a box: three of them fit shared memory

    // The size with the fewest steps; of those the one with the fewest boxes.
    PositionBoxes(int output_h, int output_w) : out_h(output_h), out_w(output_w) {
        for (int size = kMost; size >= kStep; size -= kStep)
            for (int width = size; width >= 1; --width) {
                if (size % width != 0) continue;
                PositionBoxes other = *this;
                other.w = width, other.h = size / width;
                if (w == 0 || std::pair(other.all_steps(), other.count()) < std::pair(all_steps(), count()))
                    *this = other;
            }
    }

    GS_HOST_DEVICE static int parts(int whole, int part) { return (whole + part - 1) / part; }
    GS_HOST_DEVICE int size() const { return h * w; }
    // Of the box at (h0, w0): what follows its last position is zeros.
    GS_HOST_DEVICE int steps(int h0, int w0) const {
        const int rows = out_h - h0 < h ? out_h - h0 : h, columns = out_w - w0 < w ? out_w - w0 : w;
        return parts((rows - 1) * w + columns, kStep);
    }
    int count() const { return parts(out_h, h) * parts(out_w, w); }
    int all_steps() const {
        const int down = parts(out_h, h) - 1, across = parts(out_w, w) - 1;  // whole ones
        return down * across * steps(0, 0) + down * steps(0, across * w) + across * steps(down * h, 0) +
               steps(down * h, across * w);
    }
};

}  // namespace gs::cuda
