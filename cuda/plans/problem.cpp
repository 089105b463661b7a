#include "cuda/plans/problem.h"

#include <functional>

namespace gs::cuda {

namespace {

const char* to_string(Direction direction) {
    switch (direction) {
        case Direction::Forward:
            return "forward";
        case Direction::Data:
            return "data gradient";
        case Direction::Weights:
            break;
    }
    return "weight gradient";
}

}  // namespace

const char* to_string(Precision precision) {
    switch (precision) {
        case Precision::F32:
            return "f32";
        case Precision::TF32:
            return "tf32";
        case Precision::BF16:
            break;
    }
    return "bf16";
}

size_t ConvProblemHash::operator()(const ConvProblem& problem) const {
    const ConvSpec& s = problem.spec;
    const Shape& x = problem.x;
    size_t hash = 0;
    for (const int64_t value :
         {static_cast<int64_t>(problem.direction), s.in_channels, s.out_channels, s.kernel_h, s.kernel_w,
          s.stride, s.pad, s.groups, x.n, x.h, x.w, x.c, static_cast<int64_t>(problem.type),
          static_cast<int64_t>(problem.precision), int64_t{problem.bias}, int64_t{problem.relu},
          int64_t{problem.deterministic}, problem.alignment})
        hash = hash * 1099511628211u + std::hash<int64_t>()(value);
    return hash;
}

std::string to_string(const ConvProblem& problem) {
    const ConvSpec& s = problem.spec;
    std::string text = to_string(problem.direction);
    text += " " + std::to_string(s.kernel_h) + "x" + std::to_string(s.kernel_w) + " stride " +
            std::to_string(s.stride) + " pad " + std::to_string(s.pad);
    if (s.groups != 1) text += " groups " + std::to_string(s.groups);
    text += ", " + gs::to_string(problem.x) + " to " + gs::to_string(problem.y());
    if (problem.type != DType::F32) text += ", bf16 maps";
    if (problem.bias) text += ", bias";
    if (problem.relu) text += ", relu";
    if (problem.deterministic) text += ", deterministic";
    if (problem.alignment != 16) text += ", alignment " + std::to_string(problem.alignment);
    return text + ", " + to_string(problem.precision);
}

}  // namespace gs::cuda
