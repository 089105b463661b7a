#include <array>
#include <numeric>

#include "cpu/gradient_gram.h"
#include "cpu/gradient_rows.h"
#include "cpu/map_type.h"

namespace gs::cpu {
namespace {

constexpr int64_t kPositions = 256;          // of one block
constexpr int64_t kTileFloats = 256 * 1024;  // of all cotangents' tiles: 1 MB
constexpr int64_t kMostParts = 16;           // of a sample, where memory does not ask for more

// Units are (sample, group of outputs); a group's tiles of all cotangents share the unfolded input. Groups
// are whole parts, and each part has a sum of its own: how many parts make a group depends on threads and
// batch, a part on the layer and the number of cotangents alone.
class GramTiles {
  public:
    GramTiles(Context& context, const WeightGradientNorm& args, int64_t count)
        : kernels_(context.kernels),
          args_(args),
          x_(args.x.shape.with_n(1)),
          y_(args.dy.shape.with_n(1)),
          samples_(args.x.shape.n),
          cotangents_(args.dy.shape.n / samples_),
          fan_in_(taps_of(args.spec) * x_.c),
          panels_(div_up(fan_in_, kernels_.gemm_columns)),
          pitch_(gradient_pitch(kernels_, fan_in_)),
          block_(div_up(y_.pixels(), div_up(y_.pixels(), kPositions))) {
        const int64_t step = kernels_.gemm_rows, columns = kernels_.gemm_columns;
        const int64_t tiles = div_up(y_.c, step);
        const int64_t fit = std::max<int64_t>(kTileFloats / (cotangents_ * pitch_ * step), 1);
        part_ = std::min(fit, div_up(tiles, kMostParts)) * step;
        parts_ = div_up(y_.c, part_);
        groups_ = div_up(parts_, fit * step / part_);
        // A few units a thread, so that none waits long for the last.
        groups_ = std::clamp(div_up(4 * context.threads, count), groups_, parts_);
        group_ = div_up(parts_, groups_) * part_;
        groups_ = div_up(y_.c, group_);
        const int64_t c = cotangents_;
        size_t* size_of = sizes_.data();
        for (const int64_t size : {c * group_ * block_, (block_ + 2) * columns, c * group_ * pitch_})
            *size_of++ = static_cast<size_t>(div_up(size, 16) * 16);
        memory_ = context.weight_gradient.get<float>(each() * static_cast<size_t>(context.threads));
    }

    int64_t groups() const { return groups_; }
    int64_t parts() const { return parts_; }
    int64_t cotangents() const { return cotangents_; }

    // Adds the group's outputs to the sample's grams, [part][cotangents][cotangents] right of the diagonal.
    void run(int64_t sample, int64_t group, int worker, double* grams) const {
        const Workspace work = workspace(worker);
        const int64_t first = group * group_, count = std::min(group_, y_.c - first);
        with_type(args_.x, [&](auto type) {
            for (int64_t s = 0; s < y_.pixels(); s += block_)
                add_block<decltype(type)>(sample, first, count, s, std::min(block_, y_.pixels() - s), work);
        });
        for (int64_t i = 0; i < count; ++i) {
            float* row = work.tiles + i * pitch_;
            for (int64_t c = 0; c < cotangents_; ++c) project(row + c * count * pitch_, first + i);
            double* gram = grams + (first + i) / part_ * cotangents_ * cotangents_;
            kernels_.wide_gram(row, cotangents_, count * pitch_, fan_in_, gram);
        }
    }

  private:
    struct Workspace {
        float* gradients;  // [cotangent][group / gemm_rows][positions of a block][gemm_rows]
        float* panel;      // [positions of a block][gemm_columns] of the unfolded input
        float* tiles;      // [cotangent][outputs][gradient_pitch]
    };

    const Kernels& kernels_;
    const WeightGradientNorm& args_;
    Shape x_, y_;  // of one sample
    int64_t samples_, cotangents_, fan_in_, panels_, pitch_, block_;
    int64_t part_ = 0, parts_ = 0, group_ = 0, groups_ = 0;  // outputs of one, and how many
    std::array<size_t, 3> sizes_{};
    float* memory_ = nullptr;

    size_t each() const { return std::accumulate(sizes_.begin(), sizes_.end(), size_t{0}); }
    Workspace workspace(int worker) const {
        float* gradients = memory_ + each() * static_cast<size_t>(worker);
        float* panel = gradients + sizes_[0];
        return {gradients, panel, panel + sizes_[1]};
    }

    template <class T>
    void add_block(int64_t sample, int64_t first, int64_t outputs, int64_t position, int64_t count,
                   const Workspace& work) const {
        const int64_t columns = kernels_.gemm_columns;
        const int64_t packed = div_up(outputs, kernels_.gemm_rows) * kernels_.gemm_rows * count;
        for (int64_t c = 0; c < cotangents_; ++c)
            pack_gradients(kernels_, args_.dy, c * samples_ + sample, position, count, first, outputs,
                           work.gradients + c * packed);
        auto unfold = unfold_block<T>(args_, sample, position, count);
        for (int64_t i = 0; i < panels_; ++i) {
            unfold.column = i * columns;
            unfold.columns = std::min(columns, fan_in_ - unfold.column);
            kernels_.maps<T>().unfold(unfold, work.panel);
            for (int64_t c = 0; c < cotangents_; ++c)
                kernels_.gradient_panel({work.gradients + c * packed, work.panel, count, outputs,
                                         work.tiles + c * outputs * pitch_ + unfold.column, pitch_,
                                         position > 0, nullptr, RowNorm::Square});
        }
    }

    // Makes D of an output's G.
    void project(float* row, int64_t o) const {
        const float* w = args_.standardised ? args_.standardised.f32() + o * fan_in_ : nullptr;
        double sum = 0, dot = 0;
        if (w != nullptr) kernels_.row_sums(row, w, fan_in_, &sum, &dot);
        const auto k = static_cast<double>(fan_in_);
        const float scale = args_.scale ? args_.scale.f32()[o] : 1.0f;
        if (w != nullptr || args_.scale)
            kernels_.stored_row(row, w, static_cast<float>(sum / k), static_cast<float>(dot / k), scale,
                                fan_in_, Grad::Overwrite, row);
    }
};

}  // namespace

void gram_by_tiles(Context& context, const WeightGradientNorm& args, int64_t first, int64_t count,
                   std::span<double> grams) {
    const GramTiles tiles(context, args, count);
    const int64_t c = tiles.cotangents(), each = c * c, of_sample = tiles.parts() * each;
    const std::span parts(context.partial_sums.get<double>(static_cast<size_t>(count * of_sample)),
                          static_cast<size_t>(count * of_sample));
    std::fill(parts.begin(), parts.end(), 0.0);
    parallel_for(context.threads, count * tiles.groups(), [&](int64_t unit, int worker) {
        const int64_t sample = unit / tiles.groups(), group = unit % tiles.groups();
        tiles.run(first + sample, group, worker, parts.data() + sample * of_sample);
    });
    for (int64_t sample = 0; sample < count; ++sample)
        for (int64_t a = 0; a < c; ++a)
            for (int64_t b = a; b < c; ++b) {
                double sum = 0;
                for (int64_t part = 0; part < tiles.parts(); ++part)
                    sum += parts[static_cast<size_t>(sample * of_sample + part * each + a * c + b)];
                grams[static_cast<size_t>(sample * each + a * c + b)] = sum;
                grams[static_cast<size_t>(sample * each + b * c + a)] = sum;
            }
}

}  // namespace gs::cpu
