// cuDNN's execution plans as algorithms.
#include <array>

#include "cuda/cudnn/library_algorithms.h"
#include "cuda/cudnn/plans.h"
#include "cuda/engine/epilogue.h"
#include "cuda/kernels/pointwise.h"

namespace gs::cuda {

namespace {

size_t largest_workspace(const Context& context) {
    return std::min(size_t{4} << 30, context.device().total_bytes / 16);
}

size_t elements_of_weights(const ConvSpec& spec) {
    return static_cast<size_t>(weight_shape(spec).size());
}

// The workspace begins with what has to be of another type: the rounded bias, or cuDNN's bfloat16 dw.
class ConvolutionPlan final : public Algorithm {
  public:
    ConvolutionPlan(Context& context, Libraries& libraries, const ConvProblem& problem, Plan plan)
        : context_(context), libraries_(libraries), problem_(problem), plan_(std::move(plan)) {}

    std::string name() const override { return "cuDNN " + plan_.name; }
    size_t workspace() const override { return front() + plan_.workspace; }

    void enqueue(const Operands& operands, void* workspace) override {
        std::array<int64_t, 4> ids{static_cast<int64_t>(TensorId::X), static_cast<int64_t>(TensorId::W),
                                   static_cast<int64_t>(TensorId::Y), static_cast<int64_t>(TensorId::Bias)};
        std::array<void*, 4> pointers{operands.x, narrow_dw() ? workspace : operands.w, operands.y, nullptr};
        if (problem_.bias)
            pointers[3] = const_cast<void*>(bias_of_type(context_, problem_, operands, workspace));
        const size_t count = problem_.bias ? 4 : 3;
        void* own = plan_.workspace == 0 ? nullptr : static_cast<std::byte*>(workspace) + front();

        Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
        pack.set_all(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::span<const int64_t>(ids.data(), count))
            .set_all(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, std::span<void* const>(pointers.data(), count))
            .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, own)
            .finalize();
        check(cudnnBackendExecute(libraries_.cudnn(), plan_.descriptor.handle(), pack.handle()),
              "cudnnBackendExecute");
        if (narrow_dw())
            convert(context_, static_cast<const Bf16*>(workspace), static_cast<float*>(operands.w),
                    static_cast<int64_t>(elements_of_weights(problem_.spec)));
    }

  private:
    bool narrow_dw() const {
        return problem_.direction == Direction::Weights && problem_.type == DType::BF16;
    }
    size_t front() const {
        if (!narrow_dw()) return bias_workspace(problem_);
        return (elements_of_weights(problem_.spec) * sizeof(Bf16) + 255) / 256 * 256;
    }

    Context& context_;
    Libraries& libraries_;
    ConvProblem problem_;
    Plan plan_;
};

}  // namespace

Algorithms make_convolution_plans(Context& context, Libraries& libraries, const ConvProblem& problem,
                                  size_t limit) {
    const PlanTarget target(libraries.cudnn());
    const OperationGraph graph(problem, target);
    Algorithms algorithms;
    for (Plan& plan : make_plans(problem, graph, target, limit, largest_workspace(context)))
        algorithms.push_back(std::make_unique<ConvolutionPlan>(context, libraries, problem, std::move(plan)));
    return algorithms;
}

}  // namespace gs::cuda
