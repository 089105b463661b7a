#include "cuda/engine/trial.h"

#include <limits>

#include "cuda/kernels/trial_tests.h"
#include "cuda/transfer.h"

namespace gs::cuda {

namespace {

// Of both signs, away from 0.
float random_value(std::mt19937& random) {
    std::uniform_real_distribution<float> size(0.5f, 2.0f);
    return random() % 2 == 0 ? size(random) : -size(random);
}
float nan_value(std::mt19937&) {
    return std::numeric_limits<float>::quiet_NaN();
}

std::vector<float> values(int64_t count, float (*make)(std::mt19937&)) {
    std::mt19937 random(1);
    std::vector<float> made(static_cast<size_t>(count));
    for (float& value : made) value = make(random);
    return made;
}

}  // namespace

DeviceTrial::DeviceTrial(Context& context, const ConvProblem& problem, const Operands& operands,
                         const Algorithms& algorithms)
    : context_(context),
      problem_(problem),
      operands_(operands),
      algorithms_(algorithms),
      start_(make_timer()),
      stop_(make_timer()) {}

std::vector<std::string> DeviceTrial::names() const {
    std::vector<std::string> names;
    for (const auto& algorithm : algorithms_) names.push_back(algorithm->name());
    return names;
}

void* DeviceTrial::workspace(size_t bytes) {
    if (workspace_.bytes() < bytes) {
        workspace_ = DeviceMemory();
        workspace_ = context_.memory(bytes);
    }
    return workspace_.data();
}

double DeviceTrial::run(size_t candidate) {
    Algorithm& algorithm = *algorithms_[candidate];
    void* own = workspace(algorithm.workspace());
    check(cudaEventRecord(start_.get(), context_.stream()), "cudaEventRecord");
    algorithm.enqueue(operands_, own);
    check(cudaEventRecord(stop_.get(), context_.stream()), "cudaEventRecord");
    check(cudaEventSynchronize(stop_.get()), "a trial of " + algorithm.name());
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start_.get(), stop_.get()), "cudaEventElapsedTime");
    return static_cast<double>(milliseconds);
}

void* DeviceTrial::weights(DeviceMemory& made, float (*make)(std::mt19937&)) {
    if (!made.data())
        made = upload_as(context_, values(weight_shape(problem_.spec).size(), make), problem_.type);
    return made.data();
}

// dy is 0 but for the first pixel of the first sample. dx is filled with NaN before, so that what a plan
// leaves unwritten is found too.
bool DeviceTrial::keeps_zeros(size_t candidate) {
    Algorithm& algorithm = *algorithms_[candidate];
    const cudaStream_t stream = context_.stream();
    const ConvSpec& s = problem_.spec;
    const size_t dy_bytes = static_cast<size_t>(problem_.y().size()) * size_of(problem_.type);
    if (!dy_.data()) {
        DeviceMemory dy = context_.memory(dy_bytes);
        const DeviceMemory pixel = upload_as(context_, values(s.out_channels, random_value), problem_.type);
        check(cudaMemsetAsync(dy.data(), 0, dy_bytes, stream), "cudaMemsetAsync");
        copy_on_device(context_, {pixel.data(), {1, 1, 1, s.out_channels}, problem_.type}, dy.data());
        check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
        dy_ = std::move(dy);
    }
    const View dx{operands_.x, problem_.x, problem_.type};
    check(cudaMemsetAsync(dx.data, 0xff, dx.bytes(), stream), "cudaMemsetAsync");
    Operands test;
    test.x = operands_.x;
    test.w = weights(random_weights_, random_value);
    test.y = dy_.data();
    algorithm.enqueue(test, workspace(algorithm.workspace()));
    // Row 0 of dy reaches rows up to kernel - 1 - pad of dx.
    return is_zero_outside(context_, dx, s.kernel_h - s.pad, s.kernel_w - s.pad);
}

bool DeviceTrial::keeps_nan(size_t candidate) {
    Algorithm& algorithm = *algorithms_[candidate];
    const View y{operands_.y, problem_.y(), problem_.type};
    check(cudaMemsetAsync(y.data, 0, y.bytes(), context_.stream()), "cudaMemsetAsync");
    Operands test = operands_;
    test.w = weights(nan_weights_, nan_value);
    algorithm.enqueue(test, workspace(algorithm.workspace()));
    return is_nan_everywhere(context_, y);
}

}  // namespace gs::cuda
