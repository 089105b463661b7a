// Gram matrices over pairs of positions, by strips of columns. They are symmetric: a strip has the rows above
// and on the diagonal only.
#pragma once

#include "cpu/context.h"
#include "cpu/norm_route.h"

namespace gs::cpu {

// Columns [first, first + width) of a matrix over positions, rows [0, rows()); kept as [row][gemm_columns]
// unless said otherwise, zeros right of the last column.
struct Strip {
    int64_t first, width;
    int64_t rows() const { return first + width; }
};

// Row-major, `pitch` apart.
struct Vectors {
    const float* data;
    int64_t pitch, depth;
};

// Floats of scratch that a strip of vectors needs.
size_t gram_scratch(const Kernels& kernels);
// to[i][t] (+)= sum_d v[i][d] v[first + t][d] scale[d]^2, rows of `to` to_pitch apart; scale absent: 1.
void gram_strip(const Kernels& kernels, const Vectors& v, const float* scale, const Strip& strip,
                float* scratch, float* to, int64_t to_pitch, bool accumulate = false);

// Rows [0, count) of a sample's map as float32: where they lie, or converted to `widened`.
const float* map_rows(const Kernels& kernels, const View& map, int64_t sample, int64_t count, float* widened);

// The Gram matrix of a convolution's unfolded input: <X_s, X_t> for pairs of output positions.
class PositionGram {
  public:
    // route: Ghost or PixelGram.
    PositionGram(const Kernels& kernels, const ConvSpec& spec, const View& x, NormRoute route);
    int64_t strips() const { return div_up(y_.pixels(), kernels_.gemm_columns); }
    Strip strip(int64_t i) const {
        const int64_t first = i * kernels_.gemm_columns;
        return {first, std::min(kernels_.gemm_columns, y_.pixels() - first)};
    }
    size_t strip_floats() const { return static_cast<size_t>(y_.pixels() * kernels_.gemm_columns); }
    size_t stored_floats() const;   // that all strips of a sample share; 0: nothing
    size_t scratch_floats() const;  // of a thread

    // Once for every strip of a sample, before any of them is computed.
    void prepare(int64_t sample, int64_t i, float* stored, float* scratch) const;
    // Strip i; the diagonal halved and zeros below it, so that twice its sum of products with another strip
    // counts each pair in both orders.
    void compute(int64_t sample, int64_t i, const float* stored, float* scratch, float* to) const;

  private:
    bool shifts() const { return route_ == NormRoute::PixelGram && taps_of(spec_) > 1; }
    int64_t pitch() const;
    int64_t fan_in() const { return taps_of(spec_) * x_.c; }
    float* masks(const Strip& strip, float* scratch) const;
    template <class T>
    void unfolded(int64_t sample, const Strip& strip, float* scratch, float* to) const;
    void sum_over_taps(const Strip& strip, const float* pixels, const float* masks, float* to) const;

    const Kernels& kernels_;
    ConvSpec spec_;
    View map_;
    Shape x_, y_;  // of one sample
    NormRoute route_;
};

}  // namespace gs::cpu
