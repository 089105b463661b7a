// Tensors on the emulated device, whose memory the host reads.
#pragma once

#include <vector>

#include "cuda/context.h"
#include "tests/support/random.h"

namespace gs::cuda {

// Small integers: every sum is exact in either type, so that equality is.
inline std::vector<double> integers(int64_t count, uint64_t seed) {
    test::SplitMix64 random(seed);
    std::vector<double> values(static_cast<size_t>(count));
    for (double& value : values) value = static_cast<double>(random.integer(-2, 2));
    return values;
}

struct Tensor {
    Tensor(std::vector<double> values, const Shape& shape, DType type = DType::F32)
        : memory(values.size() * size_of(type)), view{memory.data(), shape, type} {
        for (size_t i = 0; i < values.size(); ++i) {
            if (type == DType::F32)
                view.f32()[i] = static_cast<float>(values[i]);
            else
                view.bf16()[i] = Bf16(static_cast<float>(values[i]));
        }
    }
    std::vector<double> values() const {
        std::vector<double> all(static_cast<size_t>(view.shape.size()));
        for (size_t i = 0; i < all.size(); ++i)
            all[i] = view.dtype == DType::F32 ? static_cast<double>(view.f32()[i])
                                              : static_cast<double>(static_cast<float>(view.bf16()[i]));
        return all;
    }
    DeviceMemory memory;
    View view;
};

}  // namespace gs::cuda
