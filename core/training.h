// Arguments and contracts of the operations that only training needs; conventions as in core/backend.h. All
// tensors are float32.
#pragma once

#include <cstdint>
#include <span>

#include "core/backend.h"

namespace gs {

// Statistics of a batch: of each channel the mean and the biased variance over all m = n * h * w > 1
// positions, without cancellation (two passes, or merged mean/M2 pairs).
//   running_mean = (1 - momentum) running_mean + momentum * mean
//   running_var  = (1 - momentum) running_var  + momentum * var * m / (m - 1)         as PyTorch's BatchNorm
struct BatchNormStatistics {
    View x{};                            // (n,h,w,c)
    View stats{};                        // (1,1,2,c): means, then 1 / sqrt(var + eps)
    View running_mean{}, running_var{};  // (1,1,1,c), or both absent
    float eps = 1e-5f, momentum = 0.1f;
};

// y = act(gamma[c] * (x - mean[c]) * rstd[c] + beta[c] + addend)
struct BatchNormForward {
    View x{}, stats{};
    View gamma{}, beta{};  // (1,1,1,c)
    View addend{};         // as x: a residual net's other branch; or absent
    Activation activation = Activation::None;
    View y{};  // may alias x or the addend
};

// The gradient of batch_norm through the statistics, too. m as above, means over all positions:
//   g  = act' * sum(terms)                           dbeta = sum g       dgamma = sum g xhat
//   dx = addend + gamma * rstd * (g - dbeta / m - xhat * dgamma / m)
struct BatchNormBackward {
    std::span<const View> terms{};  // one or more, as x
    View x{}, stats{};
    View gamma{}, beta{};
    Activation activation = Activation::None;
    // Both or neither. y, the forward pass's output, gives the mask; without it the mask is computed again
    // from x, as the forward pass did, which then had no addend. g is written: the gradient at the forward
    // pass's addend. It may alias any term.
    View y{}, g{};
    View addend{};           // of dx, or absent
    View dx{};               // may alias any term, the addend, or g, which is then lost; absent: nobody asks
    View dgamma{}, dbeta{};  // (1,1,1,c), overwritten
};

// Source: gradnorm_ood resnetv2.py StdConv2d.
inline constexpr double kStandardiseEps = 1e-10;

// Weight standardisation: of each of the n outputs' rows w[o,k] over the fan-in k, biased variance, in
// float64:
//   scale[o] = 1 / sqrt(var + kStandardiseEps),   standardised[o,k] = (w[o,k] - mean) * scale[o]
struct StandardiseWeights {
    View w{};             // weight_shape of a convolution
    View standardised{};  // as w; must not alias it
    View scale{};         // (1,1,1,o)
};

// y[i] = x[i] / (1 - rate) where element i is kept, else 0; kept is what dropout_bits(key, i) says, on every
// backend. The backward pass is the same operation on the gradient.
struct Dropout {
    View x{};
    float rate = 0;  // [0, 1)
    uint64_t key = 0;
    View y{};  // may alias x
};

// A counter-based draw of 32 bits: element i is kept where they are at least dropout_threshold(rate).
// The mixer is C. Wellons' "lowbias32" with the constants of its low-bias search (public domain), twice.
constexpr uint32_t dropout_mix(uint32_t x) {
    x = (x ^ (x >> 16)) * 0x21f0aaadu;
    x = (x ^ (x >> 15)) * 0x735a2d97u;
    return x ^ (x >> 15);
}
constexpr uint32_t dropout_bits(uint64_t key, uint64_t i) {
    const auto low = static_cast<uint32_t>(i) ^ static_cast<uint32_t>(key);
    const auto high = static_cast<uint32_t>(key >> 32) + static_cast<uint32_t>(i >> 32) * 0x9e3779b9u;
    return dropout_mix(dropout_mix(low) ^ high);
}
constexpr uint32_t dropout_threshold(float rate) {
    return static_cast<uint32_t>(static_cast<double>(rate) * 4294967296.0);
}

// One step of stochastic gradient descent as PyTorch's, element by element in one sweep; v starts at 0.
//   d = g + weight_decay * w
//   v = momentum * v + d
//   w -= learning_rate * (nesterov ? d + momentum * v : v)
struct SgdUpdate {
    View w{}, g{}, v{};  // of one shape; w and v are changed
    float learning_rate = 0, momentum = 0, weight_decay = 0;
    bool nesterov = false;
};

}  // namespace gs
