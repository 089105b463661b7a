// The engine over a made-up source of algorithms, plain loops on the emulated device: what is tried, what is
// refused, what a call leaves on the stream, and the kernels that belong to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "cuda/engine/epilogue.h"
#include "cuda/engine/planned_engine.h"
#include "cuda/kernels/bias.h"
#include "cuda/kernels/zero_test.h"
#include "tests/reference/convolution.h"
#include "tests/support/random.h"

namespace gs::cuda {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Small integers: every sum is exact in either type, so that equality is.
std::vector<double> integers(int64_t count, uint64_t seed) {
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

// What an algorithm of the tests may do wrong.
enum class Fault : uint8_t { None, LeaksOutside, LeavesOut, AllZeros, Fails };

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
            const auto value = static_cast<float>(made_.fault == Fault::AllZeros ? 0.0 : values[i]);
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

const ConvSpec kProduct{.in_channels = 3, .out_channels = 5};
const ConvSpec kBordered{
    .in_channels = 1, .out_channels = 4, .kernel_h = 3, .kernel_w = 3, .stride = 2, .pad = 1};

// One convolution with everything around it.
class PlannedEngine : public testing::Test {
  protected:
    void use(std::vector<Made> made, CudaOptions options = {}, const ConvSpec& conv = kProduct) {
        spec = conv;
        context = std::make_unique<Context>(options);
        engine = make_planned_engine(*context, std::make_unique<MadeSource>(*context, std::move(made), asked),
                                     [](const std::string& notice) { FAIL() << notice; });
        const DType type = options.precision == Precision::BF16 ? DType::BF16 : DType::F32;
        const Shape shape{2, 5, 4, spec.in_channels}, out = spec.output_shape(shape);
        x.emplace(integers(shape.size(), 1), shape, type);
        w.emplace(integers(weight_shape(spec).size(), 2), weight_shape(spec), type);
        dy.emplace(integers(out.size(), 3), out, type);
        bias.emplace(integers(spec.out_channels, 4), Shape{1, 1, 1, spec.out_channels});
        y.emplace(std::vector<double>(static_cast<size_t>(out.size()), 77), out, type);
        dx.emplace(std::vector<double>(static_cast<size_t>(shape.size()), 77), shape, type);
        dw.emplace(std::vector<double>(static_cast<size_t>(weight_shape(spec).size()), 77),
                   weight_shape(spec));
    }
    void forward(bool with_bias = true, Activation activation = Activation::Relu) {
        engine->forward(spec, x->view, {w->view.data, w->view.dtype}, with_bias ? bias->view.f32() : nullptr,
                        activation, y->view);
    }
    void backward() {
        engine->backward_data(spec, dy->view, {w->view.data, w->view.dtype}, dx->view);
        engine->backward_weights(spec, x->view, dy->view, dw->view.f32());
    }
    std::vector<double> expected_y(bool with_bias = true, Activation activation = Activation::Relu) const {
        return ref::convolution(spec, reference(*x), w->values(),
                                with_bias ? bias->values() : std::vector<double>{}, activation)
            .values;
    }
    void expect_gradients() const {
        EXPECT_EQ(dx->values(),
                  ref::convolution_backward_data(spec, reference(*dy), w->values(), x->view.shape).values);
        EXPECT_EQ(dw->values(), ref::convolution_backward_weights(spec, reference(*x), reference(*dy)));
    }
    static ref::Tensor<double> reference(const Tensor& tensor) {
        ref::Tensor<double> copy(tensor.view.shape);
        copy.values = tensor.values();
        return copy;
    }
    template <class F>
    static std::string error_of(const F& f, ErrorKind kind) {
        try {
            f();
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), kind) << error.what();
            return error.what();
        }
        return "no error";
    }

    ConvSpec spec;
    std::vector<std::string> asked;
    std::unique_ptr<Context> context;
    std::unique_ptr<ConvolutionEngine> engine;
    std::optional<Tensor> x, w, dy, bias, y, dx, dw;
};

TEST_F(PlannedEngine, ComputesWithBiasAndActivationFusedOrApart) {
    for (const Precision precision : {Precision::F32, Precision::BF16}) {
        for (const ConvSpec& conv : {kProduct, kBordered}) {
            for (const bool fused : {true, false}) {
                use({{.name = "loops", .workspace = 1000, .with_bias = fused}}, {.precision = precision},
                    conv);
                for (const bool with_bias : {true, false})
                    for (const Activation activation : {Activation::Relu, Activation::None}) {
                        forward(with_bias, activation);
                        EXPECT_EQ(y->values(), expected_y(with_bias, activation));
                    }
                backward();
                expect_gradients();
            }
        }
    }
}

TEST_F(PlannedEngine, ChoosesOnceForAProblem) {
    use({{.name = "loops"}});
    forward();
    forward();
    backward();
    backward();
    EXPECT_THAT(asked, testing::ElementsAre("forward 1x1 stride 1 pad 0, 2x5x4x3 to 2x5x4x5, bias, relu, f32",
                                            "data gradient 1x1 stride 1 pad 0, 2x5x4x3 to 2x5x4x5, f32",
                                            "weight gradient 1x1 stride 1 pad 0, 2x5x4x3 to 2x5x4x5, f32"));
}

TEST_F(PlannedEngine, RefusesDataGradientsThatDoNotKeepZeros) {
    for (const bool deterministic : {true, false}) {
        for (const Fault fault : {Fault::LeaksOutside, Fault::LeavesOut, Fault::AllZeros}) {
            for (const ConvSpec& conv : {kProduct, kBordered}) {
                use({{.name = "wrong", .fault = fault}, {.name = "right"}}, {.deterministic = deterministic},
                    conv);
                engine->backward_data(spec, dy->view, {w->view.data, w->view.dtype}, dx->view);
                EXPECT_EQ(
                    dx->values(),
                    ref::convolution_backward_data(spec, reference(*dy), w->values(), x->view.shape).values);
            }
        }
    }
    use({{.name = "wrong", .fault = Fault::LeaksOutside}});
    EXPECT_THAT(error_of([&] { backward(); }, ErrorKind::Internal),
                AllOf(HasSubstr("data gradient"), HasSubstr("wrong: writes values where zeros belong")));
}

TEST_F(PlannedEngine, TakesTheNextWhereAWorkspaceDoesNotFitAndKeepsNoneOfThoseTried) {
    constexpr size_t kLarge = size_t{1} << 20;
    use({{.name = "large", .workspace = kLarge}, {.name = "small", .workspace = 256}},
        {.deterministic = true});
    const size_t before = emulated::allocated_bytes();
    emulated::limit_memory(before + kLarge / 2);
    forward();
    emulated::limit_memory(size_t{8} << 30);
    EXPECT_EQ(y->values(), expected_y());
    EXPECT_LT(emulated::allocated_bytes(), before + kLarge / 4);
}

TEST_F(PlannedEngine, IsOutOfMemoryWhereNoWorkspaceFits) {
    use({{.name = "large", .workspace = size_t{1} << 20}});
    emulated::limit_memory(emulated::allocated_bytes() + 1000);
    const std::string error = error_of([&] { forward(); }, ErrorKind::Device);
    emulated::limit_memory(size_t{8} << 30);
    EXPECT_THAT(error, AllOf(HasSubstr("forward 1x1"), HasSubstr("1.0 MiB")));
    forward();  // and goes on once there is memory
    EXPECT_EQ(y->values(), expected_y());
}

TEST_F(PlannedEngine, NamesDeviceProblemAndReason) {
    use({{.name = "loops", .fault = Fault::Fails}});
    EXPECT_THAT(error_of([&] { forward(); }, ErrorKind::Internal),
                AllOf(HasSubstr("cuda:0"), HasSubstr(context->device().name), HasSubstr("2x5x4x3 to 2x5x4x5"),
                      HasSubstr("f32"), HasSubstr("loops: made to fail")));
}

// A graph holds the second call, and nothing of the first.
TEST_F(PlannedEngine, CanBeCapturedAfterAFirstCall) {
    use({{.name = "loops", .workspace = 512, .with_bias = false}, {.name = "other", .workspace = 1024}});
    forward();
    backward();
    const cudaStream_t stream = context->stream();
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
    forward();
    backward();
    cudaGraph_t captured = nullptr;
    check(cudaStreamEndCapture(stream, &captured), "end of capture");
    const Graph graph(captured);
    cudaGraphExec_t made = nullptr;
    check(cudaGraphInstantiate(&made, graph.get(), 0), "instantiate");
    const GraphExec exec(made);
    for (Tensor* out : {&*y, &*dx, &*dw})
        check(cudaMemsetAsync(out->view.data, 0xff, out->view.bytes(), stream), "poison");
    check(cudaGraphLaunch(exec.get(), stream), "launch");
    check(cudaStreamSynchronize(stream), "synchronize");
    EXPECT_EQ(y->values(), expected_y());
    expect_gradients();
}

TEST_F(PlannedEngine, IsNotCapturedAtAFirstCall) {
    use({{.name = "loops"}});
    check(cudaStreamBeginCapture(context->stream(), cudaStreamCaptureModeThreadLocal), "capture");
    error_of([&] { forward(); }, ErrorKind::Internal);
    EXPECT_TRUE(asked.empty());
    cudaGraph_t captured = nullptr;
    check(cudaStreamEndCapture(context->stream(), &captured), "end of capture");
    const Graph graph(captured);
}

// float32 maps of a bfloat16 run, and views that begin anywhere.
TEST_F(PlannedEngine, DescribesWhatItIsHanded) {
    use({{.name = "loops"}}, {.precision = Precision::BF16});
    Tensor features(integers(12, 5), {4, 1, 1, 3}), logits(std::vector<double>(20), {4, 1, 1, 5});
    const Tensor weights(w->values(), weight_shape(spec));
    engine->forward(spec, features.view, {weights.view.data, DType::F32}, nullptr, Activation::None,
                    logits.view);
    EXPECT_THAT(asked.back(), testing::EndsWith("4x1x1x3 to 4x1x1x5, f32"));
    const View odd = features.view.samples(1, 2);
    engine->forward(spec, odd, {weights.view.data, DType::F32}, nullptr, Activation::None,
                    logits.view.samples(0, 2));
    EXPECT_THAT(asked.back(), HasSubstr("alignment 4"));
    forward(false, Activation::None);
    EXPECT_THAT(asked.back(), AllOf(HasSubstr("bf16 maps"), testing::EndsWith("bf16")));
}

TEST(ZeroTest, FindsOneValueAnywhere) {
    Context context({});
    for (const DType type : {DType::F32, DType::BF16}) {
        const Shape shape{2, 4, 3, 5};
        const auto test = [&](std::vector<double> values) {
            const Tensor dx(std::move(values), shape, type);
            return is_zero_outside(context, dx.view, 2, 1);
        };
        std::vector<double> corner(static_cast<size_t>(shape.size()), 0.0);
        EXPECT_FALSE(test(corner));  // nothing was computed
        const Tensor nothing(corner, shape, type);
        EXPECT_TRUE(
            is_zero_outside(context, nothing.view, 0, 1));  // 1x1 with padding: dy's corner reads the border
        corner[0] = 1;
        EXPECT_TRUE(test(corner));
        for (size_t i = 0; i < corner.size(); ++i) {
            const bool inside = i < 30 && i % 15 < 5;  // rows 0 and 1, column 0
            for (const double value : {1e-30, -1.0, std::nan("")}) {
                std::vector<double> one = corner;
                one[i] = value;
                EXPECT_EQ(test(one), inside) << i << ": " << value;
            }
            std::vector<double> negative = corner;
            negative[i] = i == 0 ? 1 : -0.0;
            EXPECT_TRUE(test(negative));
        }
    }
}

TEST(AddBias, AddsToEveryPixelAndActivates) {
    Context context({});
    for (const DType type : {DType::F32, DType::BF16}) {
        for (const int64_t channels : {1, 3, 8, 24}) {
            const Shape shape{2, 3, 2, channels};
            const std::vector<double> values = integers(shape.size(), 1), biases = integers(channels, 2);
            const Tensor bias(biases, {1, 1, 1, channels});
            for (const bool with_bias : {true, false}) {
                const Tensor y(values, shape, type);
                add_bias(context, y.view, with_bias ? bias.view.f32() : nullptr, Activation::Relu);
                std::vector<double> want = values;
                for (size_t i = 0; i < want.size(); ++i)
                    want[i] =
                        std::max(0.0, want[i] + (with_bias ? biases[i % static_cast<size_t>(channels)] : 0));
                EXPECT_EQ(y.values(), want);
            }
        }
    }
}

}  // namespace
}  // namespace gs::cuda
