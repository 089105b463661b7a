// What every file must survive: a refusal of one line with the right kind, or tensors that can all be used.
#pragma once

#include <cstdlib>
#include <string>

#include "weights/weight_file.h"

namespace gs::testing_weights {

inline void read_anything(const std::string& text) {
    try {
        const WeightFile file = read_weights_from_memory(std::as_bytes(std::span(text)), "fuzz");
        for (const StoredTensor& tensor : file.tensors) {
            if (tensor.elements() < 0) std::abort();
            if (tensor.is_floating() && to_float32(tensor).size() != static_cast<size_t>(tensor.elements()))
                std::abort();
        }
    } catch (const Error& error) {
        const std::string message = error.what();
        if (error.kind() != ErrorKind::Weights || !message.starts_with("fuzz: ")) std::abort();
        for (const char c : message)
            if (static_cast<unsigned char>(c) < 0x20) std::abort();
    }
}

}  // namespace gs::testing_weights
