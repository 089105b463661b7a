#include "cuda/engine/planned_engine.h"

#include "cuda/engine/algorithm_cache.h"

namespace gs::cuda {

namespace {

bool is_aligned(const void* data, int64_t bytes) {
    return reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(bytes) == 0;
}

class PlannedEngine final : public ConvolutionEngine {
  public:
    PlannedEngine(Context& context, std::unique_ptr<AlgorithmSource> source, const ChoiceFile::Notice& notice)
        : context_(context), source_(std::move(source)), cache_(context, *source_, notice) {}

    std::string description() const override { return source_->versions(); }

    void forward(const ConvSpec& spec, View x, DeviceKernel w, const float* bias, Activation activation,
                 View y) override {
        GS_REQUIRE(activation != Activation::Relu6 && x.dtype == w.type && y.dtype == x.dtype);
        Operands operands{x.data, const_cast<void*>(w.data), y.data, bias, w.rounded_bias};
        ConvProblem problem = describe(Direction::Forward, spec, x, y, operands);
        problem.bias = bias != nullptr;
        problem.relu = activation == Activation::Relu;
        run(problem, operands);
    }

    void backward_data(const ConvSpec& spec, View dy, DeviceKernel w, View dx) override {
        GS_REQUIRE(dx.dtype == w.type && dy.dtype == dx.dtype);
        const Operands operands{dx.data, const_cast<void*>(w.data), dy.data};
        run(describe(Direction::Data, spec, dx, dy, operands), operands);
    }

    void backward_weights(const ConvSpec& spec, View x, View dy, float* dw) override {
        GS_REQUIRE(dy.dtype == x.dtype);
        const Operands operands{x.data, dw, dy.data};
        run(describe(Direction::Weights, spec, x, dy, operands), operands);
    }

  private:
    ConvProblem describe(Direction direction, const ConvSpec& spec, const View& x, const View& y,
                         const Operands& operands) const {
        GS_REQUIRE(spec.groups == 1 && y.shape == spec.output_shape(x.shape));
        ConvProblem problem{.direction = direction, .spec = spec, .x = x.shape, .type = x.dtype};
        problem.deterministic = context_.options().deterministic;
        // float32 maps of a bfloat16 run are the features and logits, which stay float32.
        const Precision precision = context_.options().precision;
        problem.precision =
            precision == Precision::BF16 && x.dtype == DType::F32 ? Precision::F32 : precision;
        GS_REQUIRE((x.dtype == DType::BF16) == (problem.precision == Precision::BF16));
        const auto aligned = [](const void* data) { return is_aligned(data, 16); };
        if (!aligned(operands.x) || !aligned(operands.w) || !aligned(operands.y) || !aligned(operands.bias))
            problem.alignment = static_cast<int64_t>(size_of(x.dtype));
        return problem;
    }

    void run(const ConvProblem& problem, const Operands& operands) {
        if (problem.x.n == 0) return;
        context_.make_current();  // the libraries' handles are of this device
        try {
            Algorithm& algorithm = cache_.algorithm(problem, operands);
            algorithm.enqueue(operands, context_.scratch(ScratchUse::Convolution, algorithm.workspace()));
        } catch (const Error& error) {
            throw Error(error.kind(), "cuda:" + std::to_string(context_.device().ordinal) + " (" +
                                          context_.device().name + "): convolution " + to_string(problem) +
                                          ": " + error.what());
        }
    }

    Context& context_;
    std::unique_ptr<AlgorithmSource> source_;
    AlgorithmCache cache_;
};

}  // namespace

std::unique_ptr<ConvolutionEngine> make_planned_engine(Context& context,
                                                       std::unique_ptr<AlgorithmSource> source,
                                                       const ChoiceFile::Notice& notice) {
    return std::make_unique<PlannedEngine>(context, std::move(source), notice);
}

}  // namespace gs::cuda
