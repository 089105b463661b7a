// What core/backend.h and core/training.h ask of an operation's arguments, as far as shapes, types and ranges
// show it. Each operation of every backend begins with its function here, so that all refuse the same; what
// does not hold throws as GS_REQUIRE does. Aliasing is the caller's to keep.
#pragma once

#include <cstdint>
#include <span>

#include "core/backend.h"
#include "core/training.h"

namespace gs::contract {

void upload(std::span<const float> host, const View& to);
void download(const View& from, std::span<float> host);

void make_convolution(const ConvSpec& spec, std::span<const float> weights, std::span<const float> bias);
void convolution_forward(const ConvSpec& spec, const View& x, const View& y);
void convolution_backward_data(const ConvSpec& spec, const View& dy, const View& dx);
void convolution_backward_weights(const ConvSpec& spec, const View& x, const View& dy, const View& dw);
// Of a convolution that was made with a bias, or without.
void set_weights(const ConvSpec& spec, const View& weights, const View& bias, bool biased);

void weight_gradient_norm(const WeightGradientNorm& args);
void combined_gradient_norm(const CombinedGradientNorm& args);
void power_sums(const View& x, const View& scale, std::span<const PowerSum> norms);
void stored_weight_gradient(const StoredWeightGradient& args);
void sum_rows(const View& x, const View& scale, const View& out);

void channel_affine(const View& x, const View& scale, const View& shift, const View& y);
void activate(const View& x, const View& y);
void add(const View& a, const View& b, const View& y);
void copy(const View& from, const View& to);
void pointwise_backward(const PointwiseBackward& args);
void reduce(const View& x, std::span<const TapSink> sinks);

void group_norm_stats(const View& x, const GroupNormParams& params, const View& stats);
void group_norm(const View& x, const View& stats, const GroupNormParams& params, const View& y);
void group_norm_backward(const GroupNormBackward& args, const GroupNormParams& params);
void add_with_stats(const View& a, const View& b, const View& y, const GroupNormParams& params,
                    const View& stats);

void max_pool(const View& x, const PoolSpec& spec, const View& y, const View& winner);
void max_pool_backward(const View& dy, const View& winner, const PoolSpec& spec, const View& dx);
void average_pool(const View& x, int64_t window_h, int64_t window_w, const View& y);
void average_pool_backward(const View& dy, int64_t window_h, int64_t window_w, const View& dx);
void pad_subsample(const View& x, int64_t stride, const View& y);
void pad_subsample_backward(const View& dy, int64_t stride, const View& dx);

void seed_logits(float temperature, int64_t target, const View& z, const View& dz);
void sign_step(const View& x, const View& g, const View& step, const View& out);

void batch_norm_stats(const BatchNormStatistics& args);
void batch_norm(const BatchNormForward& args);
void batch_norm_backward(const BatchNormBackward& args);
void standardise_weights(const StandardiseWeights& args);
void dropout(const Dropout& args);
void sgd_update(const SgdUpdate& args);

}  // namespace gs::contract
