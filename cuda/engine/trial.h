// Algorithms of one problem, tried on the device with the operands of a real call.
#pragma once

#include <random>

#include "cuda/engine/algorithm.h"
#include "cuda/plans/selector.h"

namespace gs::cuda {

// Overwrites the problem's output; its inputs are only read. Workspaces are the trial's own, so that a
// candidate that is not chosen leaves no memory behind.
class DeviceTrial final : public PlanTrial {
  public:
    DeviceTrial(Context& context, const ConvProblem& problem, const Operands& operands,
                const Algorithms& algorithms);

    std::vector<std::string> names() const override;
    double run(size_t candidate) override;
    bool keeps_zeros(size_t candidate) override;
    bool keeps_nan(size_t candidate) override;

  private:
    void* workspace(size_t bytes);
    // A test's weights, made at the first call.
    void* weights(DeviceMemory& made, float (*make)(std::mt19937&));

    Context& context_;
    ConvProblem problem_;
    Operands operands_;
    const Algorithms& algorithms_;
    DeviceMemory workspace_;
    DeviceMemory dy_, random_weights_, nan_weights_;  // of the tests
    Event start_, stop_;
};

}  // namespace gs::cuda
