#include "train/parameters.h"

#include <algorithm>

#include "core/training.h"

namespace gs::train {

const Array* find(std::span<const Array> arrays, const std::string& name) {
    const auto it =
        std::find_if(arrays.begin(), arrays.end(), [&](const Array& array) { return array.name == name; });
    return it == arrays.end() ? nullptr : &*it;
}

Parameters::Parameters(Backend& backend, const Net& net,
                       const std::function<bool(const std::string&)>& trained, std::span<const Array> initial)
    : backend_(backend), net_(net), nodes_(net.nodes.size()) {
    constexpr int64_t kAlignment = 16;  // floats: every parameter starts at 64 bytes
    std::vector<std::vector<Entry>> by_node(net.nodes.size());
    for (size_t i = 0; i < net.nodes.size(); ++i) {
        const Node& node = net.nodes[i];
        if (node.parameters.empty() || !trained(node.parameters[0])) continue;
        nodes_[i].learns = true;
        const std::vector<Parameter> described = node.layer->parameters();
        for (size_t k = 0; k < described.size(); ++k) {
            const int64_t count = element_count(described[k]);
            const Array* start = find(initial, node.parameters[k]);
            GS_REQUIRE(start != nullptr && static_cast<int64_t>(start->values.size()) == count);
            by_node[i].push_back({node.parameters[k], start->shape, floats_, count});
            floats_ += (count + kAlignment - 1) / kAlignment * kAlignment;
        }
    }
    for (Buffer* buffer : {&values_, &gradients_, &momentum_}) {
        *buffer = backend.allocate(static_cast<size_t>(floats_) * sizeof(float));
        backend.fill(whole(*buffer), 0);  // what lies between parameters stays 0
    }
    for (size_t i = 0; i < by_node.size(); ++i) {
        const size_t parameters = net.nodes[i].parameters.size();
        nodes_[i].gradients.resize(parameters);
        if (!nodes_[i].learns) continue;
        nodes_[i].values.resize(parameters);
        for (size_t k = 0; k < parameters; ++k) {
            nodes_[i].values[k] = view(values_, by_node[i][k]);
            nodes_[i].gradients[k] = view(gradients_, by_node[i][k]);
        }
        entries_.insert(entries_.end(), by_node[i].begin(), by_node[i].end());
    }
    set_values(initial);
}

View Parameters::view(const Buffer& buffer, const Entry& entry) const {
    return buffer.view({1, 1, 1, entry.count}, static_cast<size_t>(entry.offset) * sizeof(float));
}

void Parameters::update(const Recipe& recipe, double learning_rate) {
    backend_.sgd_update({.w = whole(values_),
                         .g = whole(gradients_),
                         .v = whole(momentum_),
                         .learning_rate = static_cast<float>(learning_rate),
                         .momentum = static_cast<float>(recipe.momentum),
                         .weight_decay = static_cast<float>(recipe.weight_decay),
                         .nesterov = recipe.nesterov});
    hand_over();
}

void Parameters::hand_over() {
    for (size_t i = 0; i < nodes_.size(); ++i)
        if (nodes_[i].learns) net_.nodes[i].layer->set_parameters(backend_, nodes_[i].values);
}

std::vector<Array> Parameters::arrays(const Buffer& buffer) const {
    std::vector<Array> arrays;
    for (const Entry& entry : entries_) {
        arrays.push_back({entry.name, entry.shape, std::vector<float>(static_cast<size_t>(entry.count))});
        backend_.download(view(buffer, entry), arrays.back().values);
    }
    backend_.synchronize();
    return arrays;
}

void Parameters::upload(std::span<const Array> arrays, const Buffer& to) {
    for (const Entry& entry : entries_) {
        const Array* array = find(arrays, entry.name);
        GS_REQUIRE(array != nullptr && static_cast<int64_t>(array->values.size()) == entry.count);
        backend_.upload(array->values, view(to, entry));
    }
}

void Parameters::set_values(std::span<const Array> arrays) {
    upload(arrays, values_);
    hand_over();
}

}  // namespace gs::train
