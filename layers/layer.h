// A layer: one operation with its derivative, written once against Backend. Layers hold weights and no
// activations; what a backward pass reads is handed to it, so one layer serves any number of batches and
// cotangents.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/backend.h"

namespace gs {

// What a layer's backward pass reads of its forward pass. The planner keeps nothing else.
struct BackwardReads {
    bool input = false;   // the first input
    bool output = false;  // after the activation
    bool state = false;
};

// A parameter of a layer as the weight files store it. Its gradient is that of the stored values: folded
// norms and weight standardisation are undone.
struct Parameter {
    // Of convolutions and linear layers; of norms; of linear layers and convolutions again.
    enum class Kind : uint8_t { Weight, Gamma, Beta, Bias };
    std::string name;  // "weight", "bias"; of a norm folded into a convolution "norm.weight", "norm.bias"
    std::vector<int64_t> shape;  // in PyTorch's order; a linear layer's weight is a 1x1 kernel
    Kind kind = Kind::Weight;
};
int64_t element_count(const Parameter& parameter);

struct LayerForward {
    std::span<const View> x{};
    View y;
    View state{};                              // of state_shape(), or absent where nobody reads it
    Activation activation = Activation::None;  // fused: y = act(layer(x))
    bool state_is_ready = false;               // a fused predecessor has written the state
    uint64_t draw = 0;                         // key of random numbers, of layers that draw any
};

// terms: contributions to the gradient at y, each (rows,h,w,c), rows = cotangents * samples (core/backend.h,
// "rows").
struct LayerBackward {
    std::span<const View> terms{};
    View x{}, y{}, state{};  // present where backward_reads() says so, with n = samples
    Activation activation = Activation::None;
    View addend{};                     // dx = addend + gradient; only where adds_to_dx()
    View dx{};                         // of the first input (rows, …); absent: only the sinks are fed
    std::span<const TapSink> sinks{};  // reduce the gradient before the activation; only where joins_terms()
    View dgamma{};  // of a norm that joins terms: gamma's gradient (rows,1,1,c); x must be present
};

// One cotangent: x, dy and state have the same n, over which gradients are summed.
struct LayerBackwardWeights {
    View x{};      // the first input
    View dy{};     // the joined gradient at y, before the activation
    View state{};  // of state_shape(), where the layer has one
    // One for each of parameters(), in that order and PyTorch's element order, any shape of that many
    // elements; absent: nobody asks.
    std::span<const View> gradients{};
    Grad mode = Grad::Overwrite;
    View workspace{};  // backward_weights_workspace(n) floats, contents undefined
};

// A layer's whole backward pass in training: one cotangent, summed over the batch.
struct LayerTraining {
    std::span<const View> terms{};  // one, masked, where the layer does not join terms
    View x{}, y{}, state{};         // as in LayerBackward; x also where a parameter's gradient is asked for
    Activation activation = Activation::None;
    View addend{};  // of dx; only where adds_to_dx()
    View dx{};      // of the first input; absent: nobody asks
    View g{};       // written: the gradient at the second input, of a layer that takes one
    std::span<const View> gradients{};  // as in LayerBackwardWeights
    Grad mode = Grad::Overwrite;        // of these
    View workspace{};                   // training_workspace(n) floats, contents undefined
    uint64_t draw = 0;                  // as in the forward pass
};

// Norms of each row's gradients of the parameters; rows are those of LayerBackward.
struct LayerGradientNorms {
    View x{}, dy{};  // the first input (samples,…), the joined gradient (rows,…): for those of a weight or a
                     // folded gamma
    View beta{};   // (rows,1,1,c), sum over positions of dy: for those of any other parameter
    View gamma{};  // (rows,1,1,c), for those of gamma: written on the way, or, of a layer that joins terms,
                   // what its backward left there
    View y{};      // the output (samples,…), where norms_read_output() says so
    // (combinations * samples,1,1,cotangents), where combines_gradients() says so: squared norms, of the
    // first parameter alone, of linear combinations of the rows' gradients (core/backend.h,
    // CombinedGradientNorm).
    View coefficients{};
    std::span<const std::span<const PowerSum>> norms{};  // one list for each of parameters()
};

class Layer {
  public:
    virtual ~Layer() = default;

    virtual std::string kind() const = 0;  // "conv 3x3/2", for plans and errors
    // Whether maps may be of that height and width: else images of another size are wanted.
    virtual bool fits(const Shape& /*x*/) const { return true; }
    virtual Shape output_shape(std::span<const Shape> x) const = 0;  // of inputs that fit
    // What forward leaves for backward besides x and y (per batch); n = 0: nothing.
    virtual Shape state_shape(const Shape& /*x*/) const { return {}; }
    virtual DType state_type() const { return DType::F32; }
    // Of the forward pass, multiply-adds counted twice.
    virtual double flops(std::span<const Shape> /*x*/) const { return 0; }

    virtual bool fuses_activation() const { return false; }  // forward and backward take `activation`
    virtual bool runs_in_place() const { return false; }     // y may alias the first input
    // The output is cheap to compute again from the first input and the state: one sweep instead of a map
    // kept.
    virtual bool recomputes_output() const { return false; }
    // Backward takes several terms, masks them and feeds the sinks itself; else it gets one masked term and
    // no sinks.
    virtual bool joins_terms() const { return false; }
    virtual bool adds_to_dx() const { return false; }
    // The gradient of every input is the (joined) gradient of the output: residual adds. backward is never
    // called.
    virtual bool passes_gradient() const { return false; }
    // Its input and output may be stored differently: one is the image or the pooled features, the other a
    // map.
    virtual bool changes_type() const { return false; }
    virtual BackwardReads backward_reads(Activation activation) const = 0;

    virtual void forward(Backend& backend, const LayerForward& args) const = 0;
    virtual void backward(Backend& backend, const LayerBackward& args) const = 0;

    // Gradients with respect to the parameters. A layer without any has neither of the functions below.
    virtual std::vector<Parameter> parameters() const { return {}; }
    virtual int64_t backward_weights_workspace(int64_t /*n*/) const { return 0; }
    virtual void backward_weights(Backend& backend, const LayerBackwardWeights& args) const;

    virtual void gradient_norms(Backend& backend, const LayerGradientNorms& args) const;
    // Whether the squared norm of the first parameter's gradient, and no other, is cheaper with the output.
    virtual bool norms_read_output(const Backend& /*backend*/, const Shape& /*x*/) const { return false; }
    virtual bool combines_gradients(const Backend& /*backend*/) const { return false; }

    // Other values of parameters(), in that order and PyTorch's element order, copied.
    virtual void set_parameters(Backend& backend, std::span<const View> values);
    // backward_weights and backward, by those; layers that do both in the same sweeps override it.
    virtual int64_t training_workspace(int64_t n) const { return backward_weights_workspace(n); }
    virtual void train_backward(Backend& backend, const LayerTraining& args) const;
};

// Cuts a workspace into views. Without memory it counts: a layer says by the same lines what it will need.
class Workspace {
  public:
    explicit Workspace(View memory = {}) : memory_(memory) {}
    View take(const Shape& shape);
    int64_t floats() const { return used_; }

  private:
    View memory_;
    int64_t used_ = 0;
};

using LayerPtr = std::shared_ptr<Layer>;

}  // namespace gs
