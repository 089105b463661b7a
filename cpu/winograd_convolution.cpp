// 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3), forward only (Lavin and Gray, arXiv:1509.09308):
//   y = A^T [ sum over channels (G g G^T) . (B^T d B) ] A      for every 4x4 tile of y and its 6x6 patch d of
//   x
// The sum over channels is 36 small matrix products, one for each point of the patch, at a quarter of the
// direct convolution's multiplications. A tile is computed alike whatever stands beside it: results depend
// neither on the batch nor on the threads. The gradients stay with the direct convolution: the data
// gradient's exact zeros are counted.
#include <vector>

#include "core/contract.h"
#include "cpu/convolution.h"
#include "cpu/winograd.h"

namespace gs::cpu {
namespace {

using namespace winograd;

constexpr int64_t kMostColumns = 32;  // gemm_columns of the widest instruction set

// The transformed filters, [point][panel][in channel][width]: for every point a matrix packed for gemm_tile.
class Filters {
  public:
    Filters(const Context& context, const ConvSpec& spec, std::span<const float> weights)
        : in_(spec.in_channels),
          out_(spec.out_channels),
          width_(context.kernels.gemm_columns),
          panels_(div_up(out_, width_)),
          data_(allocate_aligned(static_cast<size_t>(kPoints * panels_ * in_ * width_) * sizeof(float))) {
        transform(context, weights);
    }
    void transform(const Context& context, std::span<const float> weights) {
        parallel_for(context.threads, panels_ * in_, [&](int64_t unit) {
            float filters[9][kMostColumns] = {};  // [tap][lane], zero right of the last output channel
            const int64_t panel = unit / in_, i = unit % in_, first = panel * width_;
            for (int64_t l = 0; l < std::min(width_, out_ - first); ++l) {
                for (int64_t tap = 0; tap < 9; ++tap) {
                    filters[tap][l] = weights[static_cast<size_t>(((first + l) * in_ + i) * 9 + tap)];
                }
            }
            context.kernels.winograd_filters(filters[0], kMostColumns, at(0, panel) + i * width_,
                                             panels_ * in_ * width_);
        });
    }
    const float* panel(int64_t point, int64_t index) const { return at(point, index); }

  private:
    float* at(int64_t point, int64_t panel) const {
        return static_cast<float*>(data_.data()) + (point * panels_ + panel) * in_ * width_;
    }
    int64_t in_, out_, width_, panels_;
    Buffer data_;
};

// Tiles of a batch: index = (sample, row, column).
struct Tiles {
    Shape x, y;
    int64_t pad, rows, columns;

    Tiles(const Shape& in, const Shape& out, int64_t padding)
        : x(in), y(out), pad(padding), rows(div_up(out.h, kTile)), columns(div_up(out.w, kTile)) {}
    int64_t count() const { return y.n * rows * columns; }

    // Where the patch's pixels stand; `zeros` where they are padding.
    void patch(const float* data, int64_t tile, const float* zeros, const float** pixels) const {
        const int64_t n = tile / (rows * columns);
        const int64_t h0 = tile / columns % rows * kTile - pad, w0 = tile % columns * kTile - pad;
        for (int64_t i = 0; i < kPoints; ++i) {
            const int64_t h = h0 + i / kPatch, w = w0 + i % kPatch;
            const bool inside = h >= 0 && h < x.h && w >= 0 && w < x.w;
            pixels[i] = inside ? data + ((n * x.h + h) * x.w + w) * x.c : zeros;
        }
    }
    // Where the tile's outputs go, from channel `c` on; null outside the map.
    void outputs(float* data, int64_t tile, int64_t c, float** pixels) const {
        const int64_t n = tile / (rows * columns);
        const int64_t h0 = tile / columns % rows * kTile, w0 = tile % columns * kTile;
        for (int64_t i = 0; i < kTile * kTile; ++i) {
            const int64_t h = h0 + i / kTile, w = w0 + i % kTile;
            pixels[i] = h < y.h && w < y.w ? data + ((n * y.h + h) * y.w + w) * y.c + c : nullptr;
        }
    }
};

class WinogradConvolution final : public Convolution {
  public:
    WinogradConvolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                        std::span<const float> weights, std::span<const float> bias, MakeConvolution direct)
        : context_(std::move(context)),
          spec_(spec),
          weights_(weights.begin(), weights.end()),
          bias_(bias.begin(), bias.end()),
          make_direct_(direct) {}

    std::vector<float> weights() override { return weights_; }

    void set_weights(View weights, View bias) override {
        contract::set_weights(spec_, weights, bias, !bias_.empty());
        std::copy_n(weights.f32(), weights_.size(), weights_.begin());
        if (bias) std::copy_n(bias.f32(), bias_.size(), bias_.begin());
        if (filters_) filters_->transform(*context_, weights_);
        if (direct_) direct_->set_weights(weights, bias);
    }

    void forward(View x, View y, Activation activation) override {
        contract::convolution_forward(spec_, x, y);
        if (y.shape.n == 0) return;
        if (!filters_) filters_ = std::make_unique<Filters>(*context_, spec_, weights_);
        const Tiles tiles(x.shape, y.shape, spec_.pad);
        const Block block = block_for(tiles.count());
        float* scratch = context_->convolution.get<float>(
            static_cast<size_t>(context_->threads * block.floats() + block.channels_in));
        float* zeros = scratch + context_->threads * block.floats();
        std::fill(zeros, zeros + block.channels_in, 0.0f);
        parallel_for(context_->threads, div_up(tiles.count(), block.tiles), [&](int64_t unit, int worker) {
            const int64_t first = unit * block.tiles, count = std::min(block.tiles, tiles.count() - first);
            float* patches = scratch + worker * block.floats();
            for (int64_t t = 0; t < count; ++t) {
                const float* pixels[kPoints];
                tiles.patch(x.f32(), first + t, zeros, pixels);
                context_->kernels.winograd_input(pixels, spec_.in_channels, patches + t * block.channels_in,
                                                 block.tiles * block.channels_in);
            }
            multiply(tiles, block, patches, first, count, activation, y.f32());
        });
    }

    void backward_data(View dy, View dx) override { gradients().backward_data(dy, dx); }
    void backward_weights(View x, View dy, View dw) override { gradients().backward_weights(x, dy, dw); }

  private:
    Convolution& gradients() {
        if (!direct_) direct_ = make_direct_(context_, spec_, weights_, bias_);
        return *direct_;
    }

    // What a thread works on at a time: transformed patches [point][tile][channel] and, for one panel of
    // output channels, products [point][tile][width].
    struct Block {
        int64_t tiles, channels_in, width;
        int64_t products() const { return kPoints * tiles * channels_in; }  // offset of the products
        int64_t floats() const { return products() + kPoints * tiles * width; }
    };

    // As many tiles as keep the patches in cache, and no fewer units than threads. Changes no result.
    Block block_for(int64_t tiles) const {
        constexpr int64_t kCacheFloats = 192 * 1024;
        const int64_t rows = context_->kernels.gemm_rows;
        const int64_t fit = kCacheFloats / (kPoints * spec_.in_channels) / rows * rows;
        const int64_t most = std::clamp(fit, 2 * rows, 4 * rows);
        const int64_t rounds = div_up(tiles, most * context_->threads);
        return {div_up(tiles, rounds * context_->threads), spec_.in_channels, context_->kernels.gemm_columns};
    }

    void multiply(const Tiles& tiles, const Block& block, float* patches, int64_t first, int64_t count,
                  Activation activation, float* y) const {
        const Kernels& kernels = context_->kernels;
        float* products = patches + block.products();
        for (int64_t c = 0; c < spec_.out_channels; c += block.width) {
            for (int64_t point = 0; point < kPoints; ++point) {
                GemmTile tile{};
                tile.lda = block.channels_in;
                tile.b = filters_->panel(point, c / block.width);
                tile.k = tile.lda;
                tile.ldc = block.width;
                tile.columns = block.width;
                for (int64_t t = 0; t < count; t += kernels.gemm_rows) {
                    tile.a = patches + (point * block.tiles + t) * block.channels_in;
                    tile.c = products + (point * block.tiles + t) * block.width;
                    tile.rows = std::min(kernels.gemm_rows, count - t);
                    kernels.gemm_tile(tile);
                }
            }
            for (int64_t t = 0; t < count; ++t) {
                float* pixels[kTile * kTile];
                tiles.outputs(y, first + t, c, pixels);
                kernels.winograd_output(products + t * block.width, block.tiles * block.width,
                                        std::min(block.width, spec_.out_channels - c),
                                        bias_.empty() ? nullptr : bias_.data() + c, activation, pixels);
            }
        }
    }

    std::shared_ptr<Context> context_;
    ConvSpec spec_;
    std::vector<float> weights_, bias_;
    std::unique_ptr<Filters> filters_;
    MakeConvolution make_direct_;
    std::unique_ptr<Convolution> direct_;
};

}  // namespace

bool winograd_pays(const ConvSpec& spec) {
    // With fewer channels the transforms cost what the products save (measured on AVX-512: 0.9x the direct
    // rate at 16 to 16, 1.6x at 16 to 32, 2x at 32 to 32, 2.5x to 3x from 64 on).
    constexpr int64_t kFewestIn = 16, kFewestOut = 32;
    return spec.kernel_h == 3 && spec.kernel_w == 3 && spec.stride == 1 && spec.groups == 1 &&
           spec.in_channels >= kFewestIn && spec.out_channels >= kFewestOut;
}

std::unique_ptr<Convolution> make_winograd_convolution(std::shared_ptr<Context> context, const ConvSpec& spec,
                                                       std::span<const float> weights,
                                                       std::span<const float> bias, MakeConvolution direct) {
    return std::make_unique<WinogradConvolution>(std::move(context), spec, weights, bias, direct);
}

}  // namespace gs::cpu
