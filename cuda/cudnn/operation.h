// A convolution as a graph of cuDNN operations.
#pragma once

#include <deque>
#include <vector>

#include "cuda/cudnn/graph.h"
#include "cuda/plans/problem.h"

namespace gs::cuda {

// Names of the tensors that a plan is run with. X is x or dx, W is w or dw, Y is y or dy.
enum class TensorId : int64_t { X = 1, W, Y, Bias, Sum, Biased };

// Activations (n,h,w,c) and filters (out,kh,kw,in), stored in that order; compute type float32. Bias
// and dw have the type of the maps: with bfloat16 maps, cuDNN 9.19 takes no float32 bias and makes no float32
// dw.
class OperationGraph {
  public:
    OperationGraph(const ConvProblem& problem, const PlanTarget& target);
    const Descriptor& descriptor() const { return graph_; }

  private:
    const Descriptor& keep(Descriptor descriptor);
    const Descriptor& tensor(TensorId id, const Shape& shape, cudnnDataType_t type, bool stored = true);
    const Descriptor& x();
    const Descriptor& w();
    const Descriptor& y();
    const Descriptor& geometry();
    const Descriptor& convolution(const Descriptor& result);
    const Descriptor& pointwise(cudnnPointwiseMode_t mode, const Descriptor& in, const Descriptor* bias,
                                const Descriptor& out);
    std::vector<const Descriptor*> operations();

    ConvProblem problem_;
    std::deque<Descriptor> parts_;
    Descriptor graph_;
};

}  // namespace gs::cuda
