// The CUDA backend. Convolutions: convolution.h; everything else is a kernel of ours (kernels/), one file a
// family. Operations enqueue work on one stream; only download and synchronize wait for it.
#pragma once

#include <memory>

#include "core/backend.h"
#include "cuda/context.h"
#include "cuda/convolution_engine.h"
#include "cuda/transfer.h"

namespace gs::cuda {

class CudaBackend final : public Backend {
  public:
    explicit CudaBackend(const CudaOptions& options);

    std::string description() const override;
    DType map_type() const override;
    WorkingSet working_set() const override;
    std::unique_ptr<Recording> record(const std::function<void()>& work) override;

    using Backend::upload;
    Buffer allocate(size_t bytes) override;
    void upload(std::span<const float> host, View to) override;
    void announce_upload(std::span<const float> host) override;
    void download(View from, std::span<float> host) override;
    void synchronize() override;

    std::unique_ptr<Convolution> make_convolution(const ConvSpec& spec, std::span<const float> weights,
                                                  std::span<const float> bias) override;

    void weight_gradient_norm(const WeightGradientNorm& args) override;
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
    std::shared_ptr<Context> context_;
    std::shared_ptr<ConvolutionEngine> engine_;
    UploadQueue uploads_;
    bool records_ = true;  // until a capture fails
};

}  // namespace gs::cuda
