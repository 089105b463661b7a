#include "cuda/engine/epilogue.h"

#include "cuda/kernels/bias.h"
#include "cuda/kernels/pointwise.h"

namespace gs::cuda {

namespace {

constexpr size_t kAlignment = 256;

class WithEpilogue final : public Algorithm {
  public:
    WithEpilogue(Context& context, const ConvProblem& problem, std::unique_ptr<Algorithm> plain)
        : context_(context), problem_(problem), plain_(std::move(plain)) {}

    std::string name() const override { return plain_->name() + ", bias apart"; }
    size_t workspace() const override { return plain_->workspace(); }
    void enqueue(const Operands& operands, void* workspace) override {
        plain_->enqueue(operands, workspace);
        const View y{operands.y, problem_.y(), problem_.type};
        add_bias(context_, y, operands.bias, problem_.relu ? Activation::Relu : Activation::None);
    }

  private:
    Context& context_;
    ConvProblem problem_;
    std::unique_ptr<Algorithm> plain_;
};

}  // namespace

size_t bias_workspace(const ConvProblem& problem) {
    if (!problem.bias || problem.type != DType::BF16) return 0;
    const size_t bytes = static_cast<size_t>(problem.spec.out_channels) * sizeof(Bf16);
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

const void* bias_of_type(Context& context, const ConvProblem& problem, const Operands& operands,
                         void* workspace) {
    if (problem.type == DType::F32) return operands.bias;
    if (operands.rounded_bias != nullptr) return operands.rounded_bias;
    const Shape shape{1, 1, 1, problem.spec.out_channels};
    convert(context, {const_cast<float*>(operands.bias), shape, DType::F32}, {workspace, shape, DType::BF16});
    return workspace;
}

std::unique_ptr<Algorithm> with_epilogue(Context& context, const ConvProblem& problem,
                                         std::unique_ptr<Algorithm> plain) {
    return std::make_unique<WithEpilogue>(context, problem, std::move(plain));
}

}  // namespace gs::cuda
