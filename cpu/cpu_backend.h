// The CPU backend. Convolutions: convolution.h; everything else is a sweep over slabs (context.h) of the
// kernels chosen for this machine (kernels/kernels.h).
#pragma once

#include <memory>

#include "core/backend.h"
#include "cpu/context.h"

namespace gs::cpu {

// Throws Error(Device) where bfloat16 maps would be slower than float32.
void require_bf16();

class CpuBackend final : public Backend {
  public:
    CpuBackend(std::shared_ptr<Context> context, bool use_onednn, bool winograd);

    std::string description() const override;
    DType map_type() const override { return context_->map_type; }

    using Backend::upload;
    Buffer allocate(size_t bytes) override;
    void upload(std::span<const float> host, View to) override;
    void download(View from, std::span<float> host) override;
    void synchronize() override {}

    std::unique_ptr<Convolution> make_convolution(const ConvSpec& spec, std::span<const float> weights,
                                                  std::span<const float> bias) override;

    void weight_gradient_norm(const WeightGradientNorm& args) override;
    bool squared_norm_reads_output(const ConvSpec& spec, const Shape& x) const override;
    bool combines_weight_gradients() const override { return true; }
    void combined_gradient_norm(const CombinedGradientNorm& args) override;
    void power_sums(View x, View scale, std::span<const PowerSum> norms) override;
    void stored_weight_gradient(const StoredWeightGradient& args) override;
    void sum_rows(View x, View scale, Grad mode, View out) override;

    void channel_affine(View x, View scale, View shift, Activation activation, View y) override;
    void activate(View x, Activation activation, View y) override;
    void pointwise_backward(const PointwiseBackward& args) override;

    void group_norm_stats(View x, const GroupNormParams& params, View stats) override;
    void group_norm(View x, View stats, const GroupNormParams& params, Activation activation,
                    View y) override;
    void group_norm_backward(const GroupNormBackward& args, const GroupNormParams& params) override;

    void add(View a, View b, Activation activation, View y) override;
    void add_with_stats(View a, View b, View y, const GroupNormParams& params, View stats) override;

    void max_pool(View x, const PoolSpec& spec, View y, View winner) override;
    void max_pool_backward(View dy, View winner, const PoolSpec& spec, View dx) override;
    void average_pool(View x, int64_t window_h, int64_t window_w, View y) override;
    void average_pool_backward(View dy, int64_t window_h, int64_t window_w, View dx) override;
    void pad_subsample(View x, int64_t stride, View y) override;
    void pad_subsample_backward(View dy, int64_t stride, View dx) override;

    void reduce(View x, std::span<const TapSink> sinks) override;
    void fill(View x, float value) override;
    void copy(View from, View to) override;
    void seed_logits(Seed seed, float temperature, int64_t target, View z, View dz) override;
    void sign_step(View x, View g, View step, View out) override;

    void batch_norm_stats(const BatchNormStatistics& args) override;
    void batch_norm(const BatchNormForward& args) override;
    void batch_norm_backward(const BatchNormBackward& args) override;
    void standardise_weights(const StandardiseWeights& args) override;
    void dropout(const Dropout& args) override;
    void sgd_update(const SgdUpdate& args) override;

  private:
    template <class Body>
    void each(int64_t count, const Body& body) const {
        parallel_for(context_->threads, count, body);
    }
    const Kernels& kernels() const { return context_->kernels; }
    template <class T>
    void join(const PointwiseBackward& args);
    template <class T>
    void norm_backward(const GroupNormBackward& args, const GroupNormParams& params);

    std::shared_ptr<Context> context_;
    bool use_onednn_, winograd_;
};

}  // namespace gs::cpu
