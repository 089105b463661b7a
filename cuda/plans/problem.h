// One convolution of a device, by all that its choice of an algorithm depends on. Needs no CUDA.
#pragma once

#include <cstddef>
#include <string>

#include "core/backend.h"

namespace gs::cuda {

enum class Direction : uint8_t { Forward, Data, Weights };

struct ConvProblem {
    Direction direction = Direction::Forward;
    ConvSpec spec;
    Shape x;                  // y is spec.output_shape(x)
    DType type = DType::F32;  // of x and y
    bool bias = false;        // forward: y = w * x + bias
    bool relu = false;        // forward, with bias only: y = max(0, w * x + bias)
    Precision precision = Precision::F32;
    bool deterministic = false;
    int64_t alignment = 16;  // bytes; every tensor begins at a multiple
    bool operator==(const ConvProblem&) const = default;

    Shape y() const { return spec.output_shape(x); }
};

struct ConvProblemHash {
    size_t operator()(const ConvProblem& problem) const;
};

// One line that tells any two problems apart, without tabs: "forward 3x3 stride 2 pad 1, 8x32x32x64 to
// 8x16x16x128, f32, bias, relu, tf32". Messages and the file of choices name a problem so.
std::string to_string(const ConvProblem& problem);
const char* to_string(Precision precision);

}  // namespace gs::cuda
