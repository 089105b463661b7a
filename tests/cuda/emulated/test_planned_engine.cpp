// The engine over a made-up source of algorithms, plain loops on the emulated device: what is tried, what is
// refused, and what a call leaves on the stream.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>

#include "cuda/engine/algorithm_cache.h"
#include "cuda/engine/planned_engine.h"
#include "tests/cuda/emulated/device_tensor.h"
#include "tests/cuda/emulated/plain_loops.h"
#include "tests/support/failure.h"

namespace gs::cuda {
namespace {

using test::failure_of;
using testing::AllOf;
using testing::HasSubstr;

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
    EXPECT_THAT(failure_of(ErrorKind::Internal, [&] { backward(); }),
                AllOf(HasSubstr("data gradient"), HasSubstr("wrong: writes values where zeros belong")));
}

TEST_F(PlannedEngine, RefusesActivationsThatLoseNaN) {
    for (const bool deterministic : {true, false}) {
        use({{.name = "wrong", .fault = Fault::LosesNaN}, {.name = "right"}},
            {.deterministic = deterministic});
        forward();
        EXPECT_EQ(y->values(), expected_y()) << "the trial's weights were not its own";
        w->view.f32()[0] = std::numeric_limits<float>::quiet_NaN();  // of the first channel
        forward();
        const std::vector<double> got = y->values();
        for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(std::isnan(got[i]), i % 5 == 0) << i;
    }
    use({{.name = "wrong", .fault = Fault::LosesNaN}});
    EXPECT_THAT(failure_of(ErrorKind::Internal, [&] { forward(); }),
                HasSubstr("wrong: makes numbers of NaN"));
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
    const std::string error = failure_of(ErrorKind::Device, [&] { forward(); });
    emulated::limit_memory(size_t{8} << 30);
    EXPECT_THAT(error, AllOf(HasSubstr("forward 1x1"), HasSubstr("1.0 MiB")));
    forward();  // and goes on once there is memory
    EXPECT_EQ(y->values(), expected_y());
}

TEST_F(PlannedEngine, NamesDeviceProblemAndReason) {
    use({{.name = "loops", .fault = Fault::Fails}});
    EXPECT_THAT(failure_of(ErrorKind::Internal, [&] { forward(); }),
                AllOf(HasSubstr("cuda:0"), HasSubstr(context->device().name), HasSubstr("2x5x4x3 to 2x5x4x5"),
                      HasSubstr("f32"), HasSubstr("loops: made to fail")));
}

// Of many problems the last are kept. What was recorded of one that has gone is not replayed.
TEST(AlgorithmCache, KeepsTheLast) {
    Context context({});
    std::vector<std::string> asked;
    MadeSource source(context, {{.name = "loops"}}, asked);
    AlgorithmCache cache(
        context, source, [](const std::string& notice) { FAIL() << notice; }, 2);
    const auto choose = [&](int64_t n) {
        const Shape x{n, 5, 4, kProduct.in_channels}, y = kProduct.output_shape(x);
        const Tensor in(integers(x.size(), 1), x), out(integers(y.size(), 2), y),
            w(integers(weight_shape(kProduct).size(), 3), weight_shape(kProduct));
        cache.algorithm({.direction = Direction::Forward, .spec = kProduct, .x = x},
                        {in.view.data, w.view.data, out.view.data});
        return context.generation();
    };
    const uint64_t before = context.generation();
    for (const int64_t n : {1, 2, 1, 2}) EXPECT_EQ(choose(n), before);
    EXPECT_EQ(asked.size(), 2u);
    EXPECT_GT(choose(3), before);  // in the place of 1
    choose(2);
    EXPECT_EQ(asked.size(), 3u);
    choose(1);
    EXPECT_EQ(asked.size(), 4u);
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
    failure_of(ErrorKind::Internal, [&] { forward(); });
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

}  // namespace
}  // namespace gs::cuda
