// One way to compute one convolution on a device. Needs no library of NVIDIA's but the runtime.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cuda/context.h"
#include "cuda/plans/problem.h"

namespace gs::cuda {

// Where the tensors lie. x is x or dx, w is w or dw, y is y or dy; of the problem's type, but dw: float32.
struct Operands {
    void* x = nullptr;
    void* w = nullptr;
    void* y = nullptr;
    const float* bias = nullptr;
    const Bf16* rounded_bias = nullptr;  // bfloat16 maps: the bias as such; null: made when it is needed
};

class Algorithm {
  public:
    virtual ~Algorithm() = default;
    virtual std::string name() const = 0;  // the same from run to run
    virtual size_t workspace() const = 0;  // bytes
    // Only enqueues work on the context's stream. workspace: 256-byte aligned. Throws Error where it cannot.
    virtual void enqueue(const Operands& operands, void* workspace) = 0;
};
using Algorithms = std::vector<std::unique_ptr<Algorithm>>;

// Where algorithms come from: cuDNN and cuBLAS (cuda/cudnn), or a test's.
class AlgorithmSource {
  public:
    virtual ~AlgorithmSource() = default;
    virtual std::string versions() const = 0;  // "cuDNN 9.19.0, cuBLAS 13.1.0"
    // Every algorithm that may compute the problem in its precision, the most promising first.
    virtual Algorithms algorithms(const ConvProblem& problem) = 0;
};

}  // namespace gs::cuda
