// What a device must be able to do: operations on tensors, each with its contract. Layers are written once
// against this interface; cpu/ and cuda/ implement it.
//
// clang-format off
// Conventions
//   x, y      activations (n,h,w,c); dy, dx the gradients with respect to them, same shapes
//   rows      a gradient may hold k cotangents for each sample: n = k * samples, cotangent-major
//             (row = k * samples + sample). A saved activation then has n = samples and row r reads sample
//             r % samples.
//   aliasing  an output may be one of the inputs only where said ("may alias")
//   types     float32, but for maps: activations and gradients between the image and the pooled features are
//             of map_type(). Images, features, logits, statistics, coefficients, reductions and norms are
//             always float32, and so is all arithmetic: values are rounded when they are stored, to nearest,
//             ties to even. Sinks reduce what was computed, before it is stored; statistics are those of what
//             is stored. Only convolutions and average pools may have an x and a y of different types
//   accuracy  float32 storage; reductions of more than a few hundred terms accumulate pairwise, in several
//             lanes, or in float64, such that the relative error stays near 1e-6
//   zeros     gradients behind a closed ReLU are true zeros (GAIA-Z counts them): a masked value is written
//             as 0, never multiplied by something tiny
//   threads   one caller at a time; an implementation uses the threads it was given
// clang-format on
//
// Shapes, types and ranges are checked once for all backends, in core/contract.h; out of memory throws
// Error(Device).
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace gs {

enum class Activation : uint8_t { None, Relu, Relu6 };

// Spatial reductions of a map (n,h,w,c) to (n,1,1,c). NonzeroShare: share of positions whose value is not
// exactly 0.
enum class Reduction : uint8_t { Sum, Mean, NonzeroShare };

// What convolutions compute with. Sums, norms, statistics and scores are float32 or float64 in all of them.
enum class Precision : uint8_t {
    F32,   // float32 throughout; on tensor cores only as several products that make up one
    TF32,  // float32 maps; operands of products rounded to 10 bits of mantissa (CUDA only)
    BF16,  // maps stored and multiplied as bfloat16
};

// What becomes of an output that is there already.
enum class Grad : uint8_t { Overwrite, Add };

// A reduction that a kernel writes on its way: out is (n,1,1,c), overwritten.
struct TapSink {
    Reduction reduction = Reduction::Sum;
    View out{};
};

struct ConvSpec {
    int64_t in_channels = 0, out_channels = 0;
    int64_t kernel_h = 1, kernel_w = 1;
    int64_t stride = 1, pad = 0;  // the same in both directions; zero padding
    int64_t groups = 1;           // 1, or in_channels == out_channels == groups (depthwise)
    bool operator==(const ConvSpec&) const = default;
    bool fits(const Shape& x) const;  // the kernel into the padded map
    Shape output_shape(const Shape& x) const;
    double flops(const Shape& x) const;  // 2 * multiply-adds of a forward pass, padding included
};

inline int64_t taps_of(const ConvSpec& spec) {
    return spec.kernel_h * spec.kernel_w;
}
// Of a convolution's weights in PyTorch's order: (out, in / groups, kernel_h, kernel_w), row-major.
Shape weight_shape(const ConvSpec& spec);

// A convolution with its weights prepared for the device. 1x1 on (n,1,1,c) is the linear layer.
// With bfloat16 maps weights are rounded to bfloat16. Where x is the image, float32, it keeps 16 bits or more
// (as the sum of two bfloat16, say): ODIN's steps are smaller than the spacing of bfloat16. With x and y
// float32 (the head) nothing is rounded.
class Convolution {
  public:
    virtual ~Convolution() = default;
    // y = act(w * x + b). Formats and primitives are made at the first call with a shape and kept.
    virtual void forward(View x, View y, Activation activation) = 0;
    // dx = the gradient with respect to x of <dy, w * x>; overwrites dx. Exact zeros: a dx whose every
    // contributing dy is 0 is bit-zero (direct convolution, no Winograd, no FFT).
    virtual void backward_data(View dy, View dx) = 0;
    // dw = the gradient with respect to w of <dy, w * x>, summed over the batch; overwrites dw, of
    // weight_shape(spec). x and dy have the same n.
    virtual void backward_weights(View x, View dy, View dw) = 0;
    // The weights as they were given to make_convolution or set_weights.
    virtual std::vector<float> weights() = 0;
    // Other weights, of weight_shape(spec), and bias (1,1,1,o); absent where there was none. Both are copied.
    // What was prepared for the old ones is prepared again, in the memory it has.
    virtual void set_weights(View weights, View bias) = 0;
};

struct PowerSum {
    double p = 1;  // > 0, or infinity: the largest
    View out{};    // (rows,1,1,1)
};

// The gradient of a frozen norm's gamma where the norm is folded into the convolution before it. The
// normalised map is itself a convolution, xhat = (rstd w) * x + rstd (bias - mean), so that sum_s dy xhat
// follows from the weight gradient G of that convolution, whatever gamma is (0, for one):
//   out[r,o] = sum_k weights[o,k] G[r,o,k] + shift[o] dbeta[r,o]
struct FoldedGamma {
    View weights{};  // rstd[o] * stored weight, ordered as G; absent: nobody asks
    View shift{};    // (1,1,1,o): rstd[o] * (bias[o] - mean[o])
    View dbeta{};    // (rows,1,1,o): sum_s dy
    View out{};      // (rows,1,1,o)
};

// What a standardised convolution has computed forward. From it follow sum_k G w and with it squared norms
// without G: sum_k G[r,o,k] w[o,k] = sum_s dy[r,s,o] y[r % samples,s,o].
struct StandardisedOutput {
    View y{};               // (samples,oh,ow,o), float32, without bias; or absent
    View weight_squares{};  // (1,1,1,o): sum_k w[o,k]^2; sum_k w[o,k] is 0
};

// Norms of each row's weight gradient of a convolution, without ever storing a gradient.
//   G[r,o,k] = sum_s dy[r,s,o] X[r % samples,s,k]      k = (kh, kw, c), X the unfolded input, zero-padded
//   D[r,o,k] = scale[o] * (G - mean_k G - w[o,k] * mean_k(G * w[o,.]))   with standardised weights w,
//              scale[o] * G                                              without
//   out[r]   = sum_{o,k} |D|^p, or max |D| for p = infinity; all exponents share one product
// Products of the precision, sums over s in float32 of a few hundred terms at most, over (o,k) in float64 but
// for float32 lanes of a few hundred at most. The same bits for any number of threads and any batch.
struct WeightGradientNorm {
    ConvSpec spec;
    View x{};             // (samples,h,w,c)
    View dy{};            // (rows,oh,ow,o)
    View scale{};         // (1,1,1,o), or absent: 1
    View standardised{};  // (1,o,kernel_h * kernel_w,c), or absent
    std::span<const PowerSum> norms{};
    FoldedGamma gamma{};          // from the same product, its weights as standardised
    StandardisedOutput output{};  // may be read where squared_norm_reads_output() says so
};

// Squared norms of linear combinations of a sample's rows, from the Gram matrix of their gradients:
//   out[j * samples + n] = sum_{o,k} (sum_i coefficients[j * samples + n, i] D[i * samples + n, o, k])^2
// With a class's logit back-propagated in each row, that is the norm for every loss of the logits at once.
// Products are float32, the Gram matrix and what follows from it float64.
struct CombinedGradientNorm {
    WeightGradientNorm gradients{};  // without norms and gamma; rows: cotangents * samples
    View coefficients{};             // (combinations * samples,1,1,cotangents)
    View out{};                      // (combinations * samples,1,1,1)
};

// From the gradient of the weights that run to that of the stored ones, each of out's n rows by itself:
//   dw[o,k] = scale[o] * (g - mean_k g - w[o,k] * mean_k(g * w))   with standardised weights w (BiT's)
//             scale[o] * g                                         without
struct StoredWeightGradient {
    View g{};                     // weight_shape(spec)
    View scale{};                 // (1,1,1,o), or absent: 1
    View standardised{};          // as g, or absent
    FoldedGamma gamma{};          // one row
    View dw{};                    // as g; may alias it; absent: only gamma is wanted
    Grad mode = Grad::Overwrite;  // of dw and of gamma's gradient
};

struct PoolSpec {
    int64_t kernel = 3, stride = 2, pad = 1;
    bool zero_padding = false;  // padded zeros take part in the maximum (BiT's root), else they never win
    bool fits(const Shape& x) const;  // the window into the padded map
    Shape output_shape(const Shape& x) const;
};

// The gradient of a frozen norm's gamma: out[r,c] = rstd[c] * sum_s g (x - mean[c]), g the gradient at its
// output.
struct NormalisedSum {
    View x{};             // (samples,h,w,c)
    View mean{}, rstd{};  // (1,1,1,c)
    View out{};           // (rows,1,1,c), overwritten; absent: nobody asks
};

// Gradients that one join adds: a net's map has few readers.
inline constexpr size_t kMostTerms = 8;

// dx = addend + scale[c] * act'(y) * sum(terms); act' is 1 or 0 by the activation's output y (Relu: y > 0,
// Relu6: 0 < y < 6). `sinks` reduce act'(y) * sum(terms), the gradient before the scale. With scale and
// addend absent this is the join of a residual net's branches and the backward pass of ReLU in one sweep.
struct PointwiseBackward {
    std::span<const View> terms{};  // one to kMostTerms, all (rows,h,w,c)
    Activation activation = Activation::None;
    View y{};       // (samples,h,w,c), of gamma.x's samples where both are; read where activation != None
    View scale{};   // (1,1,1,c) or absent: the frozen norm's gamma / sqrt(var + eps)
    View addend{};  // (rows,h,w,c) or absent
    View dx{};      // may alias any term or the addend; absent: only the sinks are fed
    std::span<const TapSink> sinks{};
    NormalisedSum gamma{};
};

// Group normalisation, y = act(gamma[c] * (x - mean) * rstd + beta[c]) with mean and rstd of each (sample,
// group); biased variance, computed without cancellation (two passes, or merged mean/M2 pairs; never E[x^2] -
// E[x]^2).
struct GroupNormParams {
    int64_t groups = 32;
    float eps = 1e-5f;
    View gamma{}, beta{};  // (1,1,1,c)
};

// The gradient with respect to x of group norm + activation. dy = sum(terms); the activation's mask is
// recomputed from x and stats exactly as the forward pass computed it. `sinks` reduce act' * dy, the gradient
// at the norm's output.
//   dx = addend + rstd * (g - mean_group(g) - xhat * mean_group(g * xhat)),  g = gamma[c] * act' * dy
struct GroupNormBackward {
    std::span<const View> terms{};
    View x{};      // (samples,h,w,c)
    View stats{};  // (samples,1,groups,2)
    Activation activation = Activation::None;
    View addend{};  // (rows,h,w,c) or absent
    View dx{};      // may alias any term or the addend; absent: only the sinks are fed
    std::span<const TapSink> sinks{};
    View dgamma{};  // (rows,1,1,c), overwritten: sum_s act' * dy * xhat; or absent
};

// Seeds of backward passes at the logits z (n,1,1,C), one row a sample; p = softmax(z / temperature).
enum class Seed : uint8_t {
    UniformCrossEntropy,      // L = sum_c -log softmax(z/T)_c               dL/dz = (C p - 1) / T
    MaxLogit,                 // y = max_k z_k                               one-hot at the first argmax
    PredictedCrossEntropy,    // L = CE(z/T, argmax z)                       (p - onehot) / T
    ClassCrossEntropy,        // L = CE(z/T, target)                         (p - onehot) / T
    ClassBinaryCrossEntropy,  // L = sum_j softplus(z_j/T) - z_target/T      (sigmoid(z/T) - onehot) / T
};

// Arguments of the operations of training: core/training.h.
struct BatchNormStatistics;
struct BatchNormForward;
struct BatchNormBackward;
struct StandardiseWeights;
struct Dropout;
struct SgdUpdate;

// What a batch should fit into.
struct WorkingSet {
    size_t cache_bytes = size_t{24} << 20;  // the forward pass; 0: the device gains nothing from that
    size_t memory_bytes = size_t{1} << 30;  // everything
    int64_t most_images = 64;
    int64_t most_elements =
        std::numeric_limits<int64_t>::max();  // of one map, all its rows: what libraries can index
};

// Work that a device has been told once, and repeats on the memory it was told of.
class Recording {
  public:
    virtual ~Recording() = default;
    // Enqueues the work. false: memory has moved since, nothing was done; it must be recorded again.
    virtual bool replay() = 0;
};

class Backend {
  public:
    virtual ~Backend() = default;

    virtual std::string description() const = 0;  // "cpu: oneDNN 2.6.3, AVX-512, 2 threads"
    // What activation maps and their gradients are stored as.
    virtual DType map_type() const { return DType::F32; }
    virtual WorkingSet working_set() const { return {}; }

    // `work` calls operations of this backend that all have run before with these shapes; no transfers, no
    // synchronize. They are recorded, not run. Null where the device gains nothing by it; nothing was called
    // then or nothing has come of it.
    virtual std::unique_ptr<Recording> record(const std::function<void()>& /*work*/) { return nullptr; }

    // Memory. allocate: 64-byte aligned, uninitialised. Throws Error(Device) with the size that was asked
    // for.
    virtual Buffer allocate(size_t bytes) = 0;
    virtual void upload(std::span<const float> host, View to) = 0;
    // The next upload() will be given these values, which do not change until then: a device may begin to
    // copy them beside what it computes. Any upload(), or nothing given here, ends the announcement.
    virtual void announce_upload(std::span<const float> /*host*/) {}
    virtual void download(View from, std::span<float> host) = 0;
    virtual void synchronize() = 0;
    Buffer upload(std::span<const float> host);  // allocate + upload

    // weights: [out][in / groups][kernel_h][kernel_w] (PyTorch's order), bias: [out] or empty.
    virtual std::unique_ptr<Convolution> make_convolution(const ConvSpec& spec,
                                                          std::span<const float> weights,
                                                          std::span<const float> bias) = 0;

    virtual void weight_gradient_norm(const WeightGradientNorm& args) = 0;
    // Whether the squared norm alone, p = 2, of a standardised convolution on x is cheaper with its output.
    virtual bool squared_norm_reads_output(const ConvSpec& /*spec*/, const Shape& /*x*/) const {
        return false;
    }
    // Whether combined_gradient_norm is there.
    virtual bool combines_weight_gradients() const { return false; }
    virtual void combined_gradient_norm(const CombinedGradientNorm& args);
    // Of the rows of x (rows,1,1,c), each value times scale[c] (1,1,1,c) or absent: 1; in float64.
    virtual void power_sums(View x, View scale, std::span<const PowerSum> norms) = 0;
    virtual void stored_weight_gradient(const StoredWeightGradient& args) = 0;
    // out[c] = or += scale[c] * sum over n of x (n,1,1,c), in float64; scale (1,1,1,c) or absent: 1. x must
    // not alias out.
    virtual void sum_rows(View x, View scale, Grad mode, View out) = 0;

    // y = act(scale[c] * x + shift[c]); scale, shift (1,1,1,c). y may alias x.
    virtual void channel_affine(View x, View scale, View shift, Activation activation, View y) = 0;
    // y = act(x). y may alias x.
    virtual void activate(View x, Activation activation, View y) = 0;
    virtual void pointwise_backward(const PointwiseBackward& args) = 0;

    // stats (n,1,groups,2): mean and 1 / sqrt(var + eps) of each (sample, group). group_norm's y may alias x.
    virtual void group_norm_stats(View x, const GroupNormParams& params, View stats) = 0;
    virtual void group_norm(View x, View stats, const GroupNormParams& params, Activation activation,
                            View y) = 0;
    virtual void group_norm_backward(const GroupNormBackward& args, const GroupNormParams& params) = 0;

    // y = act(a + b). y may alias a or b.
    virtual void add(View a, View b, Activation activation, View y) = 0;
    // y = a + b, and y's group statistics in the same sweep (the next norm's). y may alias a or b.
    virtual void add_with_stats(View a, View b, View y, const GroupNormParams& params, View stats) = 0;

    // Maximum over windows; winner (u8, shape of y, or absent) keeps each window's winning position kh *
    // kernel + kw, 255 where zero padding won. Ties: the first in row order, as PyTorch. x of any size:
    // windows are clipped.
    virtual void max_pool(View x, const PoolSpec& spec, View y, View winner) = 0;
    virtual void max_pool_backward(View dy, View winner, const PoolSpec& spec, View dx) = 0;

    // y (n,1,1,c): mean over the top-left window_h x window_w of x (the whole map for global pooling).
    virtual void average_pool(View x, int64_t window_h, int64_t window_w, View y) = 0;
    virtual void average_pool_backward(View dy, int64_t window_h, int64_t window_w, View dx) = 0;

    // Option A shortcut of He et al.: y[.., h, w, c + (cy - cx) / 2] = x[.., stride * h, stride * w, c],
    // zeros elsewhere.
    virtual void pad_subsample(View x, int64_t stride, View y) = 0;
    virtual void pad_subsample_backward(View dy, int64_t stride, View dx) = 0;

    // Reductions of an activation map, all in one sweep.
    virtual void reduce(View x, std::span<const TapSink> sinks) = 0;

    virtual void fill(View x, float value) = 0;
    virtual void copy(View from, View to) = 0;
    // dz (n,1,1,C), overwritten. Softmax sums in float64; C p - 1 as expm1(log p + log C), exact near
    // uniform; p - 1 and sigmoid - 1 without cancellation. target: class of the Class… seeds, for every row.
    virtual void seed_logits(Seed seed, float temperature, int64_t target, View z, View dz) = 0;
    // out = x - step[c] * sgn(g), sgn(0) = +1 (docs/methods/odin.md); step (1,1,1,c). out may alias x or g.
    virtual void sign_step(View x, View g, View step, View out) = 0;

    // Training (core/training.h).
    virtual void batch_norm_stats(const BatchNormStatistics& args) = 0;
    virtual void batch_norm(const BatchNormForward& args) = 0;
    virtual void batch_norm_backward(const BatchNormBackward& args) = 0;
    virtual void standardise_weights(const StandardiseWeights& args) = 0;
    virtual void dropout(const Dropout& args) = 0;
    virtual void sgd_update(const SgdUpdate& args) = 0;
};

struct CpuOptions {
    int threads = 0;         // 0: as many as cores this process may use
    bool use_onednn = true;  // false: the plain im2col + GEMM convolution, which needs no library
    // Wide 3x3 convolutions of stride 1 forward by Winograd's F(4x4, 3x3): half the time, a root mean square
    // error of about 1e-6 of the outputs' instead of 3e-7. Gradients are always direct (exact zeros).
    bool winograd = true;
    Precision precision = Precision::F32;
};
std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options = {});

struct CudaOptions {
    int device = 0;
    Precision precision = Precision::F32;
    bool deterministic = false;  // only algorithms that repeat to the bit
    std::string plan_cache{};  // file of the choices measured on this device, read and extended; empty: none
    // Norms of weight gradients by wgmma where precision and layer allow it (docs/gradient-norms-cuda.md):
    // for compute capability 9.0 alone, and not yet measured.
    bool wgmma_norms = false;
};
// Throws Error(Device) where there is no such device, it lacks what the options ask for, or this build has no
// CUDA. Defined in cuda/.
std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options);

}  // namespace gs
