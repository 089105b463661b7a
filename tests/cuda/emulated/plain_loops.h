// Algorithms of the tests: plain loops in float64 on the emulated device's stream, with or without a fault.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "cuda/engine/algorithm.h"
#include "cuda/engine/epilogue.h"
#include "tests/reference/convolution.h"

namespace gs::cuda {

// What an algorithm of the tests may do wrong.
enum class Fault : uint8_t { None, LeaksOutside, LeavesOut, AllZeros, LosesNaN, Fails };

struct Made {
    std::string name;
    Fault fault = Fault::None;
    size_t workspace = 0;
    bool with_bias = true;  // false: bias and activation come apart
};

// The convolution in float64 as the references compute it, weights in the device's order.
class PlainLoops final : public Algorithm {
  public:
    PlainLoops(Context& context, const ConvProblem& problem, Made made)
        : context_(context), problem_(problem), made_(std::move(made)) {}
    std::string name() const override { return made_.name; }
    size_t workspace() const override { return made_.workspace; }

    void enqueue(const Operands& operands, void* workspace) override {
        if (made_.fault == Fault::Fails) throw Error(ErrorKind::Internal, "made to fail");
        GS_REQUIRE(made_.workspace == 0 || workspace != nullptr);
        if (made_.workspace > 0)
            check(cudaMemsetAsync(workspace, 1, made_.workspace, context_.stream()), "workspace");
        check(emulated::enqueue(context_.stream(), [this, operands] { compute(operands); }), "plain loops");
    }

  private:
    ref::Tensor<double> read(const void* data, const Shape& shape) const {
        ref::Tensor<double> tensor(shape);
        for (size_t i = 0; i < tensor.values.size(); ++i)
            tensor.values[i] =
                problem_.type == DType::F32
                    ? static_cast<double>(static_cast<const float*>(data)[i])
                    : static_cast<double>(static_cast<float>(static_cast<const Bf16*>(data)[i]));
        return tensor;
    }
    void write(void* data, const std::vector<double>& values, DType type) const {
        size_t count = values.size();
        if (made_.fault == Fault::LeavesOut) --count;
        for (size_t i = 0; i < count; ++i) {
            auto value = static_cast<float>(made_.fault == Fault::AllZeros ? 0.0 : values[i]);
            if (made_.fault == Fault::LosesNaN && std::isnan(value)) value = 0;
            if (type == DType::F32)
                static_cast<float*>(data)[i] = value;
            else
                static_cast<Bf16*>(data)[i] = Bf16(value);
        }
    }
    // 1x1 or one input channel: both orders of weights are the same.
    void compute(const Operands& o) const {
        const ConvSpec& s = problem_.spec;
        const std::vector<double> w = problem_.direction == Direction::Weights
                                          ? std::vector<double>{}
                                          : read(o.w, weight_shape(s)).values;
        switch (problem_.direction) {
            case Direction::Forward: {
                std::vector<double> bias;
                if (problem_.bias && made_.with_bias) bias.assign(o.bias, o.bias + s.out_channels);
                const bool relu = problem_.relu && made_.with_bias;
                write(o.y,
                      ref::convolution(s, read(o.x, problem_.x), w, bias,
                                       relu ? Activation::Relu : Activation::None)
                          .values,
                      problem_.type);
                break;
            }
            case Direction::Data: {
                auto dx = ref::convolution_backward_data(s, read(o.y, problem_.y()), w, problem_.x).values;
                if (made_.fault == Fault::LeaksOutside) dx.back() += 1e-30;
                write(o.x, dx, problem_.type);
                break;
            }
            case Direction::Weights:
                write(o.w,
                      ref::convolution_backward_weights(s, read(o.x, problem_.x), read(o.y, problem_.y())),
                      DType::F32);
                break;
        }
    }

    Context& context_;
    ConvProblem problem_;
    Made made_;
};

class MadeSource final : public AlgorithmSource {
  public:
    MadeSource(Context& context, std::vector<Made> made, std::vector<std::string>& asked)
        : context_(context), made_(std::move(made)), asked_(asked) {}
    std::string versions() const override { return "loops 1"; }
    Algorithms algorithms(const ConvProblem& problem) override {
        asked_.push_back(to_string(problem));
        Algorithms all;
        for (const Made& made : made_) {
            auto loops = std::make_unique<PlainLoops>(context_, problem, made);
            if (made.with_bias)
                all.push_back(std::move(loops));
            else
                all.push_back(with_epilogue(context_, problem, std::move(loops)));
        }
        return all;
    }

  private:
    Context& context_;
    std::vector<Made> made_;
    std::vector<std::string>& asked_;
};

}  // namespace gs::cuda
