// The parameters that learn, their gradients and their momentum, each all in one stretch of the device's
// memory, so that the update is one sweep.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "nets/net.h"
#include "train/array.h"
#include "train/recipe.h"

namespace gs::train {

class Parameters {
  public:
    // `trained` says which learn; `initial` holds the values of at least these, in their net's names.
    Parameters(Backend& backend, const Net& net, const std::function<bool(const std::string&)>& trained,
               std::span<const Array> initial);

    // One view for each of the node's parameters; absent where it does not learn.
    std::span<const View> gradients(size_t node) const { return nodes_[node].gradients; }
    bool learns(size_t node) const { return nodes_[node].learns; }

    // One step of SGD with the gradients that are there; the layers get the new values.
    void update(const Recipe& recipe, double learning_rate);

    // Of those that learn, in the order of the net: values, and momentum under the same names.
    std::vector<Array> values() const { return arrays(values_); }
    std::vector<Array> momentum() const { return arrays(momentum_); }
    // Every one must be there, with as many elements; GS_REQUIRE.
    void set_values(std::span<const Array> arrays);
    void set_momentum(std::span<const Array> arrays) { upload(arrays, momentum_); }

  private:
    struct Entry {
        std::string name;
        std::vector<int64_t> shape;
        int64_t offset, count;  // floats
    };
    struct NodeViews {
        bool learns = false;
        std::vector<View> values, gradients;
    };

    Backend& backend_;
    const Net& net_;
    std::vector<Entry> entries_;
    std::vector<NodeViews> nodes_;
    int64_t floats_ = 0;
    Buffer values_, gradients_, momentum_;

    View whole(const Buffer& buffer) const { return buffer.view({1, 1, 1, floats_}); }
    View view(const Buffer& buffer, const Entry& entry) const;
    std::vector<Array> arrays(const Buffer& buffer) const;
    void upload(std::span<const Array> arrays, const Buffer& to);
    void hand_over();
};

}  // namespace gs::train
