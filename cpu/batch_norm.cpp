// Batch normalisation with the statistics of the batch, forward and backward. All positions of a batch are
// one list, swept in slabs whose partial sums are added in order in float64: the same bits for any number of
// threads.
#include <cmath>

#include "core/contract.h"
#include "core/training.h"
#include "cpu/cpu_backend.h"
#include "cpu/sinks.h"

namespace gs::cpu {
namespace {

Slabs slabs_of(const Shape& shape) {
    return Slabs(shape.n * shape.pixels(), shape.c, Slabs::kMostSummed);
}

// totals[c] = sum over slabs of partial[slab][c].
void add_slabs(const float* partial, int64_t slabs, int64_t c, double* totals) {
    std::fill(totals, totals + c, 0.0);
    for (int64_t s = 0; s < slabs; ++s)
        for (int64_t i = 0; i < c; ++i) totals[i] += static_cast<double>(partial[s * c + i]);
}

// What the statistics' sweep leaves of every slab, [slab][c] each: its mean as rounded, and around that the
// sums of deviations and of their squares.
struct SlabMoments {
    float *center, *first, *second;

    SlabMoments(float* memory, int64_t count)
        : center(memory), first(memory + count), second(memory + 2 * count) {}
    SlabMoments at(int64_t offset) const {
        SlabMoments moved = *this;
        for (float** column : {&moved.center, &moved.first, &moved.second}) *column += offset;
        return moved;
    }
};

void sweep_slab(const Kernels& kernels, const float* x, const SlabMoments& moments, int64_t pixels,
                int64_t c) {
    kernels.channel_sums(x, pixels, c, c, {moments.center, nullptr});
    for (int64_t i = 0; i < c; ++i) moments.center[i] /= static_cast<float>(pixels);
    kernels.centered_moments(x, pixels, c, moments.center, moments.first, moments.second);
}

double mean_of(const SlabMoments& moments, const Slabs& slabs, int64_t channel) {
    double sum = 0;
    for (int64_t s = 0; s < slabs.count; ++s) {
        const int64_t at = s * slabs.channels + channel;
        sum += static_cast<double>(moments.center[at]) * static_cast<double>(slabs.size(s)) +
               static_cast<double>(moments.first[at]);
    }
    return sum / static_cast<double>(slabs.pixels);
}

// Sum of squared deviations from `mean` over all positions: those from each slab's centre, moved to the mean.
//   sum (x - mean)^2 = second + 2 d first + pixels d^2,   d = center - mean
double squares_around(double mean, const SlabMoments& moments, const Slabs& slabs, int64_t channel) {
    double total = 0;
    for (int64_t s = 0; s < slabs.count; ++s) {
        const int64_t at = s * slabs.channels + channel;
        const double d = static_cast<double>(moments.center[at]) - mean;
        total += static_cast<double>(moments.second[at]) +
                 d * (2 * static_cast<double>(moments.first[at]) + d * static_cast<double>(slabs.size(s)));
    }
    return std::max(total, 0.0);
}

void move(float& running, double value, double momentum) {
    running = static_cast<float>((1 - momentum) * static_cast<double>(running) + momentum * value);
}

void write_statistics(const BatchNormStatistics& args, int64_t channel, double mean, double squares) {
    const double m = static_cast<double>(args.x.shape.n * args.x.shape.pixels());
    const int64_t c = args.x.shape.c;
    args.stats.f32()[channel] = static_cast<float>(mean);
    args.stats.f32()[c + channel] =
        static_cast<float>(1 / std::sqrt(squares / m + static_cast<double>(args.eps)));
    if (!args.running_mean) return;
    const double momentum = static_cast<double>(args.momentum);
    move(args.running_mean.f32()[channel], mean, momentum);
    move(args.running_var.f32()[channel], squares / (m - 1), momentum);
}

// gamma * rstd of every channel: forward and backward take it from here, so their masks agree to the bit.
NormCoefficients coefficients(Context& context, const View& stats, const View& gamma, const View& beta) {
    const int64_t c = gamma.shape.c;
    float* scale = context.coefficients.get<float>(static_cast<size_t>(c));
    for (int64_t i = 0; i < c; ++i) scale[i] = gamma.f32()[i] * stats.f32()[c + i];
    return {stats.f32(), scale, beta.f32()};
}

// The three factors of dx, [c] each, and the gradients of gamma and beta.
class BackwardFactors {
  public:
    BackwardFactors(Context& context, const BatchNormBackward& args, const float* g, const float* g_x,
                    int64_t slabs)
        : c_(args.x.shape.c) {
        const double m = static_cast<double>(args.x.shape.n * args.x.shape.pixels());
        double* totals = context.workspace.get<double>(static_cast<size_t>(4 * c_));
        factors_ = reinterpret_cast<float*>(totals + 2 * c_);
        add_slabs(g, slabs, c_, totals);
        add_slabs(g_x, slabs, c_, totals + c_);
        for (int64_t i = 0; i < c_; ++i) {
            const double rstd = static_cast<double>(args.stats.f32()[c_ + i]);
            const double dbeta = totals[i], dgamma = rstd * totals[c_ + i];
            const double scale = static_cast<double>(args.gamma.f32()[i]) * rstd;
            factors_[i] = static_cast<float>(scale);
            factors_[c_ + i] = static_cast<float>(-scale * rstd * dgamma / m);
            factors_[2 * c_ + i] = static_cast<float>(-scale * dbeta / m);
            if (args.dgamma) args.dgamma.f32()[i] = static_cast<float>(dgamma);
            if (args.dbeta) args.dbeta.f32()[i] = static_cast<float>(dbeta);
        }
    }
    NormBackwardCoefficients get() const { return {factors_, factors_ + c_, factors_ + 2 * c_}; }

  private:
    int64_t c_;
    float* factors_;
};

}  // namespace

void CpuBackend::batch_norm_stats(const BatchNormStatistics& args) {
    contract::batch_norm_stats(args);
    const Shape& shape = args.x.shape;
    const Slabs slabs = slabs_of(shape);
    const int64_t count = slabs.count * shape.c;
    const SlabMoments moments(context_->partial_sums.get<float>(static_cast<size_t>(3 * count)), count);
    each(slabs.count, [&](int64_t s) {
        sweep_slab(kernels(), args.x.f32() + slabs.offset(s), moments.at(s * shape.c), slabs.size(s),
                   shape.c);
    });
    each(shape.c, [&](int64_t i) {
        const double mean = mean_of(moments, slabs, i);
        write_statistics(args, i, mean, squares_around(mean, moments, slabs, i));
    });
}

void CpuBackend::batch_norm(const BatchNormForward& args) {
    contract::batch_norm(args);
    const NormCoefficients norm = coefficients(*context_, args.stats, args.gamma, args.beta);
    const Slabs slabs = slabs_of(args.x.shape);
    each(slabs.count, [&](int64_t s) {
        const int64_t at = slabs.offset(s), pixels = slabs.size(s), c = slabs.channels;
        if (args.addend) {
            kernels().normalize_add(args.x.f32() + at, args.addend.f32() + at, pixels, c, norm,
                                    args.activation, args.y.f32() + at);
        } else {
            kernels().normalize(args.x.f32() + at, pixels, c, norm, args.activation, args.y.f32() + at);
        }
    });
}

void CpuBackend::batch_norm_backward(const BatchNormBackward& args) {
    contract::batch_norm_backward(args);
    const TermPointers<float> terms(args.terms);
    const NormCoefficients norm = coefficients(*context_, args.stats, args.gamma, args.beta);
    const Slabs slabs = slabs_of(terms.shape());
    const int64_t c = slabs.channels, count = slabs.count * c;
    float* g = context_->partial_sums.get<float>(static_cast<size_t>(2 * count));
    float* g_x = g + count;
    each(slabs.count, [&](int64_t s) {
        const int64_t at = slabs.offset(s), pixels = slabs.size(s);
        const float* x = args.x.f32() + at;
        if (args.y) {
            kernels().pointwise_backward(terms.at(at), pixels, c, args.activation, args.y.f32() + at, nullptr,
                                         nullptr, args.g.f32() + at, {g + s * c, nullptr},
                                         {x, norm.mean, g_x + s * c});
        } else {
            kernels().norm_backward_sums(terms.at(at), x, pixels, c, norm, args.activation,
                                         {g + s * c, g_x + s * c, nullptr});
        }
    });
    const BackwardFactors factors(*context_, args, g, g_x, slabs.count);
    if (!args.dx) return;
    const View masked[] = {args.g};
    const TermPointers<float> joined(args.y ? std::span<const View>(masked) : args.terms);
    const Activation activation = args.y ? Activation::None : args.activation;
    each(slabs.count, [&](int64_t s) {
        const int64_t at = slabs.offset(s);
        kernels().norm_backward(joined.at(at), args.x.f32() + at, slabs.size(s), c, norm, activation,
                                factors.get(), args.addend ? args.addend.f32() + at : nullptr,
                                args.dx.f32() + at);
    });
}

}  // namespace gs::cpu
