// Convolution with no library: rows of the unfolded input, gathered a block at a time into cache, times
// packed weights. A row of the product is one pixel, computed alike whatever stands beside it, so results
// depend neither on the batch nor on the threads.
#include <vector>

#include "core/contract.h"
#include "cpu/convolution.h"

namespace gs::cpu {
namespace {

constexpr int64_t kDepth = 256;        // fan-in of one block: a panel of weights is then 32 KB
constexpr int64_t kTilesPerBlock = 4;  // row tiles of one unit of work
constexpr int64_t kPositions = 512;    // of one block of a weight gradient's sum

// The product's view of its source: row (n, h, w) and tap (kh, kw) name a source pixel, or padding.
// Backward: dx[h] gathers dy[(h + pad - kh) / stride] where that divides.
struct Unfold {
    Shape source;          // x forward, dy backward
    int64_t out_h, out_w;  // map of the product's rows
    int64_t kernel_h, kernel_w, stride, pad;
    bool backward;

    int64_t depth() const { return kernel_h * kernel_w * source.c; }
    bool plain() const { return kernel_h == 1 && kernel_w == 1 && stride == 1 && pad == 0; }

    int64_t position(int64_t out, int64_t tap, int64_t size) const {  // -1: padding
        int64_t at = out * stride - pad + tap;
        if (backward) {
            at = out + pad - tap;
            if (at < 0 || at % stride != 0) return -1;
            at /= stride;
        }
        return at >= 0 && at < size ? at : -1;
    }
    // Columns [first, first + count) of row `row` of the unfolded source.
    void gather(const float* data, int64_t row, int64_t first, int64_t count, float* to) const {
        const int64_t n = row / (out_h * out_w), h = row / out_w % out_h, w = row % out_w;
        while (count > 0) {
            const int64_t tap = first / source.c, channel = first % source.c;
            const int64_t width = std::min(count, source.c - channel);
            const int64_t ih = position(h, tap / kernel_w, source.h);
            const int64_t iw = position(w, tap % kernel_w, source.w);
            if (ih < 0 || iw < 0) {
                std::fill(to, to + width, 0.0f);
            } else {
                const float* from = data + ((n * source.h + ih) * source.w + iw) * source.c + channel;
                std::copy(from, from + width, to);
            }
            to += width;
            first += width;
            count -= width;
        }
    }
};

// A (depth x columns) matrix cut into panels of the kernels' width, zero-filled at the right edge:
// [panel][depth][width].
class PackedMatrix {
  public:
    PackedMatrix(int64_t depth, int64_t columns, int64_t width)
        : depth_(depth),
          columns_(columns),
          width_(width),
          data_(static_cast<size_t>(div_up(columns, width) * depth * width)) {}
    template <class Value>
    void fill(const Value& value) {
        for (int64_t k = 0; k < depth_; ++k) {
            for (int64_t c = 0; c < columns_; ++c) at(c / width_, k)[c % width_] = value(k, c);
        }
    }
    const float* panel(int64_t index, int64_t k) const {
        return data_.data() + (index * depth_ + k) * width_;
    }
    float value(int64_t k, int64_t column) const { return panel(column / width_, k)[column % width_]; }

  private:
    float* at(int64_t index, int64_t k) { return data_.data() + (index * depth_ + k) * width_; }
    int64_t depth_, columns_, width_;
    std::vector<float> data_;
};

class GemmConvolution final : public Convolution {
  public:
    GemmConvolution(std::shared_ptr<Context> context, const ConvSpec& spec, std::span<const float> weights,
                    std::span<const float> bias)
        : context_(std::move(context)),
          spec_(spec),
          forward_(taps_of(spec) * spec.in_channels, spec.out_channels, width()),
          backward_(taps_of(spec) * spec.out_channels, spec.in_channels, width()) {
        pack(weights.data());
        if (bias.empty()) return;
        bias_.assign(bias.begin(), bias.end());
        bias_.resize(static_cast<size_t>(div_up(spec.out_channels, width()) * width()));
    }

    void forward(View x, View y, Activation activation) override {
        contract::convolution_forward(spec_, x, y);
        const Unfold unfold{x.shape,        y.shape.h,    y.shape.w, spec_.kernel_h,
                            spec_.kernel_w, spec_.stride, spec_.pad, false};
        multiply(unfold, x.f32(), forward_, bias_.empty() ? nullptr : bias_.data(), activation, y);
    }

    void backward_data(View dy, View dx) override {
        contract::convolution_backward_data(spec_, dy, dx);
        const Unfold unfold{dy.shape,       dx.shape.h,   dx.shape.w, spec_.kernel_h,
                            spec_.kernel_w, spec_.stride, spec_.pad,  true};
        multiply(unfold, dy.f32(), backward_, nullptr, Activation::None, dx);
    }

    // A panel of columns of the unfolded input at a time, for all outputs.
    void backward_weights(View x, View dy, View dw) override {
        contract::convolution_backward_weights(spec_, x, dy, dw);
        const Unfold unfold{x.shape,        dy.shape.h,   dy.shape.w, spec_.kernel_h,
                            spec_.kernel_w, spec_.stride, spec_.pad,  false};
        const int64_t floats = (kPositions + spec_.out_channels) * width();  // of a panel and its sums
        float* scratch =
            context_->weight_gradient.get<float>(static_cast<size_t>(context_->threads * floats));
        parallel_for(context_->threads, div_up(unfold.depth(), width()), [&](int64_t panel, int worker) {
            float* unfolded = scratch + worker * floats;
            float* sums = unfolded + kPositions * width();
            const int64_t first = panel * width(), columns = std::min(width(), unfold.depth() - first);
            sum_panel(unfold, x.f32(), dy, first, columns, unfolded, sums);
            for (int64_t o = 0; o < spec_.out_channels; ++o)
                for (int64_t j = 0; j < columns; ++j)
                    dw.f32()[index(o, (first + j) % spec_.in_channels, (first + j) / spec_.in_channels)] =
                        sums[o * width() + j];
        });
    }

    std::vector<float> weights() override {
        const int64_t taps = taps_of(spec_);
        std::vector<float> plain(static_cast<size_t>(spec_.out_channels * spec_.in_channels * taps));
        for (int64_t o = 0; o < spec_.out_channels; ++o)
            for (int64_t i = 0; i < spec_.in_channels; ++i)
                for (int64_t tap = 0; tap < taps; ++tap)
                    plain[index(o, i, tap)] = forward_.value(tap * spec_.in_channels + i, o);
        return plain;
    }

    void set_weights(View weights, View bias) override {
        contract::set_weights(spec_, weights, bias, !bias_.empty());
        pack(weights.f32());
        if (bias) std::copy_n(bias.f32(), spec_.out_channels, bias_.begin());
    }

  private:
    void pack(const float* weights) {
        forward_.fill([&](int64_t k, int64_t o) {
            return weights[index(o, k % spec_.in_channels, k / spec_.in_channels)];
        });
        backward_.fill([&](int64_t k, int64_t i) {
            return weights[index(k % spec_.out_channels, i, k / spec_.out_channels)];
        });
    }
    int64_t width() const { return context_->kernels.gemm_columns; }
    size_t index(int64_t o, int64_t i, int64_t tap) const {
        return static_cast<size_t>((o * spec_.in_channels + i) * taps_of(spec_) + tap);
    }

    // sums[o][columns of the panel] over all positions of the batch.
    void sum_panel(const Unfold& unfold, const float* x, const View& dy, int64_t first, int64_t columns,
                   float* unfolded, float* sums) const {
        const Kernels& kernels = context_->kernels;
        const int64_t outputs = dy.shape.c, positions = dy.shape.n * dy.shape.pixels();
        std::fill(unfolded, unfolded + kPositions * width(), 0.0f);  // right of the last column
        if (positions == 0) std::fill(sums, sums + outputs * width(), 0.0f);
        GemmTile tile{};
        tile.lda = 1;
        tile.k_pitch = outputs;
        tile.b = unfolded;
        tile.ldc = tile.columns = width();
        for (int64_t s = 0; s < positions; s += kPositions) {
            tile.k = std::min(kPositions, positions - s);
            tile.accumulate = s > 0;
            for (int64_t p = 0; p < tile.k; ++p)
                unfold.gather(x, s + p, first, columns, unfolded + p * width());
            for (int64_t o = 0; o < outputs; o += kernels.gemm_rows) {
                tile.a = dy.f32() + s * outputs + o;
                tile.c = sums + o * width();
                tile.rows = std::min(kernels.gemm_rows, outputs - o);
                kernels.gemm_tile(tile);
            }
        }
    }

    void multiply(const Unfold& unfold, const float* source, const PackedMatrix& weights, const float* bias,
                  Activation activation, View out) {
        const int64_t rows = out.shape.n * out.shape.pixels();
        const int64_t block = kTilesPerBlock * context_->kernels.gemm_rows;
        float* scratch =
            context_->convolution.get<float>(static_cast<size_t>(context_->threads * block * kDepth));
        parallel_for(context_->threads, div_up(rows, block), [&](int64_t unit, int worker) {
            const int64_t first = unit * block, count = std::min(block, rows - first);
            float* unfolded = scratch + worker * block * kDepth;
            for (int64_t k = 0; k < unfold.depth(); k += kDepth) {
                const int64_t depth = std::min(kDepth, unfold.depth() - k);
                GemmTile tile{};
                tile.a = unfold.plain() ? source + first * unfold.source.c + k : unfolded;
                tile.lda = unfold.plain() ? unfold.source.c : depth;
                if (!unfold.plain()) {
                    for (int64_t r = 0; r < count; ++r) {
                        unfold.gather(source, first + r, k, depth, unfolded + r * depth);
                    }
                }
                tile.k = depth;
                tile.accumulate = k > 0;
                const bool last = k + depth == unfold.depth();
                tile.activation = last ? activation : Activation::None;
                multiply_block(tile, weights, k, last ? bias : nullptr, count,
                               out.f32() + first * out.shape.c, out.shape.c);
            }
        });
    }

    // `count` rows of a times all panels of weights at depth k.
    void multiply_block(const GemmTile& block, const PackedMatrix& weights, int64_t k, const float* bias,
                        int64_t count, float* out, int64_t columns) const {
        const Kernels& kernels = context_->kernels;
        for (int64_t c = 0; c < columns; c += width()) {
            for (int64_t r = 0; r < count; r += kernels.gemm_rows) {
                GemmTile tile = block;
                tile.a += r * block.lda;
                tile.b = weights.panel(c / width(), k);
                tile.c = out + r * columns + c;
                tile.ldc = columns;
                tile.rows = std::min(kernels.gemm_rows, count - r);
                tile.columns = std::min(width(), columns - c);
                tile.bias = bias ? bias + c : nullptr;
                kernels.gemm_tile(tile);
            }
        }
    }

    std::shared_ptr<Context> context_;
    ConvSpec spec_;
    PackedMatrix forward_, backward_;
    std::vector<float> bias_;
};

}  // namespace

std::unique_ptr<Convolution> make_gemm_convolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                                                   std::span<const float> weights,
                                                   std::span<const float> bias) {
    if (spec.groups > 1) return make_depthwise_convolution(std::move(context), spec, weights, bias);
    return std::make_unique<GemmConvolution>(std::move(context), spec, weights, bias);
}

}  // namespace gs::cpu
