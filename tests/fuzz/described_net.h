// Weights by names and shapes alone, for what nets/ makes of them. A text:
//   format of the file ("npz" has BiT's own names)
//   JSON of --arch, or nothing
//   NAME EXTENT EXTENT …
// Lines that are no such thing are left out, and tensors that no small file could hold.
#pragma once

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

#include "core/join.h"
#include "nets/net.h"
#include "passes/executor.h"

namespace gs::test {

struct DescribedWeights {
    WeightFile file;
    std::string overrides;
};

inline DescribedWeights described_weights(std::string_view text) {
    static const std::vector<float> values(size_t{1} << 17, 0.5f);
    const auto bytes = std::as_bytes(std::span(values));
    DescribedWeights described;
    described.file.path = "fuzz";
    described.file.bytes = bytes.first(1);  // what is hashed
    const std::vector<std::string> lines = split(text, '\n');
    described.file.format = lines.front();
    if (lines.size() > 1) described.overrides = lines[1];
    for (size_t l = 2; l < lines.size(); ++l) {
        const std::vector<std::string> words = split(lines[l], ' ');
        StoredTensor tensor{.name = words.front(), .shape = {}, .strides = {}, .storage = bytes};
        size_t elements = 1;
        for (size_t w = 1; w < words.size(); ++w) {
            uint32_t number = 0;
            if (std::from_chars(words[w].data(), words[w].data() + words[w].size(), number).ec != std::errc{})
                number = 0;
            tensor.shape.push_back(number);
            elements = std::min(elements, values.size() + 1) * std::min<size_t>(number, values.size() + 1);
        }
        if (!tensor.name.empty() && elements <= values.size() && described.file.find(tensor.name) == nullptr)
            described.file.tensors.push_back(std::move(tensor));
    }
    return described;
}

// The net, with a plan for images of its own size. Throws Error(Weights), Error(Usage) of --arch, or
// Error(Data) where such images do not fit.
inline Net build_described_net(Backend& backend, std::string_view text) {
    const DescribedWeights described = described_weights(text);
    Net net = build_net(backend, described.file, {.overrides = described.overrides});
    const int64_t side = default_input_size(net.architecture);
    Executor(backend, net, {.logits = true}).plan(side, side);
    return net;
}

}  // namespace gs::test
