// What NAC reads of a sample: o * g of every neuron of its layers, o the spatial sum of the activation, g the
// spatial sum of the gradient of KL = -(1/C) sum_c log softmax(z)_c (docs/methods/nac.md).
#pragma once

#include <string>
#include <vector>

#include "nets/net.h"
#include "passes/evidence.h"

namespace gs {

class NacProducts {
  public:
    // `net` must outlive the object. Throws Error(Usage) for taps it does not have.
    NacProducts(const Net& net, std::vector<std::string> taps);

    // At the pooled features g is a closed form; only other layers need a backward pass.
    Request request() const;
    // One matrix a layer, [samples][neurons], float32.
    std::vector<Matrix> of(const Evidence& evidence) const;

  private:
    const Net& net_;
    std::vector<std::string> taps_;

    bool is_pooled(const std::string& tap) const { return tap == net_.pooled; }
    Matrix at_pooled(const Evidence& evidence) const;
    Matrix at_stage(const Evidence& evidence, const std::string& tap) const;
};

}  // namespace gs
