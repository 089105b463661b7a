// The forward and backward pass of a net over one batch of one size, everything it keeps in one arena that is
// laid out once: a step allocates nothing.
#pragma once

#include <vector>

#include "nets/net.h"
#include "passes/plan.h"
#include "train/parameters.h"

namespace gs::train {

class TrainingPass {
  public:
    // net: of fuse_for_training, which like backend and parameters must outlive this. input: (n,h,w,c).
    // Throws Error(Data) for images that do not fit the net, or are too small for its batch norms.
    TrainingPass(Backend& backend, const Net& net, const Parameters& parameters, const Shape& input);

    View input() const { return input_; }            // to be filled
    View logits() const { return nodes_.back().y; }  // (n,1,1,C), after forward
    View logits_gradient() const { return seed_; }   // to be filled before backward
    size_t arena_bytes() const { return arena_.bytes(); }

    // `draw`: key of this step's random numbers, the same for both.
    void forward(uint64_t draw);
    // Into the parameters' gradients, which are overwritten or added to.
    void backward(Grad mode, uint64_t draw);

  private:
    struct NodeRun {
        const Layer* layer = nullptr;
        Activation activation = Activation::None;
        std::vector<View> x, terms;  // terms: contributions to the gradient at y
        View y, state;
        View joined;  // of terms, masked, where the layer takes one such term or passes it on; or absent
        View addend, dx, g;
        std::span<const View> gradients;
        bool differentiated = false;  // part of the backward pass
    };
    class Layout;

    Backend& backend_;
    View input_, seed_, workspace_;
    std::vector<NodeRun> nodes_;
    Buffer arena_;

    void train_node(const NodeRun& node, Grad mode, uint64_t draw) const;
};

}  // namespace gs::train
