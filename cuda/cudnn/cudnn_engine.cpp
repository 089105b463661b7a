// Dense convolutions by cuDNN and cuBLAS.
#include <algorithm>
#include <cstdio>
#include <iterator>

#include "cuda/cudnn/library_algorithms.h"
#include "cuda/engine/epilogue.h"
#include "cuda/engine/planned_engine.h"
#include "cuda/plans/gemm_shape.h"

namespace gs::cuda {

namespace {

// Of cuDNN's plans, as many are tried: its heuristics put good ones first.
constexpr size_t kPlans = 10;
constexpr size_t kPlansWithoutEpilogue = 3;

// 1x1 convolutions of stride 1 are matrix products of cuBLAS: in float32 nothing else, for cuDNN's plans
// there want workspaces of both maps; weight gradients of bfloat16 maps nothing else, for cuDNN rounds them
// to bfloat16.
class LibraryAlgorithms final : public AlgorithmSource {
  public:
    explicit LibraryAlgorithms(Context& context) : context_(context), libraries_(context) {}

    std::string versions() const override { return libraries_.versions(); }

    Algorithms algorithms(const ConvProblem& problem) override {
        Algorithms all;
        const auto add = [&](Algorithms some) { std::ranges::move(some, std::back_inserter(all)); };
        if (is_gemm(problem)) add(make_gemms(context_, libraries_, problem));
        if (is_gemm_only(problem)) return all;
        if (!problem.bias && !problem.relu) {
            add(make_convolution_plans(context_, libraries_, problem, kPlans));
            return all;
        }
        add(fused_plans(problem));
        ConvProblem plain = problem;
        plain.bias = plain.relu = false;
        for (auto& plan : make_convolution_plans(context_, libraries_, plain, kPlansWithoutEpilogue))
            all.push_back(with_epilogue(context_, problem, std::move(plan)));
        return all;
    }

  private:
    // A pattern with a bias that cuDNN does not know is not an error: there are plans without.
    Algorithms fused_plans(const ConvProblem& problem) {
        if (!problem.bias) return {};
        try {
            return make_convolution_plans(context_, libraries_, problem, kPlans);
        } catch (const Error&) {
            return {};
        }
    }

    Context& context_;
    Libraries libraries_;
};

}  // namespace

std::unique_ptr<ConvolutionEngine> make_convolution_engine(Context& context) {
    return make_planned_engine(
        context, std::make_unique<LibraryAlgorithms>(context),
        [](const std::string& notice) { std::fprintf(stderr, "notice: %s\n", notice.c_str()); });
}

}  // namespace gs::cuda
