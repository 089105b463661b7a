// The real engine on a real device, against the plain loops in double. Skipped where there is no device.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

#include "core/devices.h"
#include "core/files.h"
#include "cuda/convolution_engine.h"
#include "tests/reference/convolution.h"
#include "tests/support/random.h"

namespace gs::cuda {
namespace {

// GRADSCORE_BACKENDS=cuda makes the presence of a device a promise.
std::string missing_device() {
    const CudaDevices found = find_cuda_devices();
    if (!found.devices.empty()) return {};
    const char* promised = std::getenv("GRADSCORE_BACKENDS");
    if (promised != nullptr && std::string(promised).find("cuda") != std::string::npos)
        throw std::runtime_error("GRADSCORE_BACKENDS promises a CUDA device: " + found.reason);
    return found.reason;
}

#define GS_SKIP_WITHOUT_DEVICE()                                      \
    if (const std::string reason = missing_device(); !reason.empty()) \
    GTEST_SKIP() << "no CUDA device: " << reason

struct EngineCase {
    ConvSpec spec;
    Shape x;
};

// Products, borders, strides; channels in multiples of 8, as layers pad them.
const std::vector<EngineCase>& engine_cases() {
    static const std::vector<EngineCase> cases = {
        {{.in_channels = 16, .out_channels = 24}, {3, 7, 5, 16}},
        {{.in_channels = 64, .out_channels = 16, .stride = 2}, {2, 9, 9, 64}},
        {{.in_channels = 8, .out_channels = 64, .kernel_h = 7, .kernel_w = 7, .stride = 2, .pad = 3},
         {2, 31, 33, 8}},
        {{.in_channels = 64, .out_channels = 64, .kernel_h = 3, .kernel_w = 3, .pad = 1}, {2, 14, 14, 64}},
        {{.in_channels = 32, .out_channels = 40, .kernel_h = 3, .kernel_w = 3, .stride = 2, .pad = 1},
         {3, 15, 11, 32}}};
    return cases;
}

// Largest error over the largest value: f32 sums of up to a few thousand products; tf32 rounds operands to
// 2^-11, bf16 to 2^-9, and bf16 results are rounded once more.
double tolerance(Precision precision) {
    return precision == Precision::F32 ? 5e-6 : precision == Precision::TF32 ? 2e-3 : 8e-3;
}

class Device {
  public:
    explicit Device(const CudaOptions& options)
        : context(options), engine(make_convolution_engine(context)) {}

    DType type() const { return context.options().precision == Precision::BF16 ? DType::BF16 : DType::F32; }

    View upload(const std::vector<double>& values, const Shape& shape, DType as) {
        std::vector<std::byte> bytes(values.size() * size_of(as));
        for (size_t i = 0; i < values.size(); ++i) {
            const auto value = static_cast<float>(values[i]);
            if (as == DType::F32)
                reinterpret_cast<float*>(bytes.data())[i] = value;
            else
                reinterpret_cast<Bf16*>(bytes.data())[i] = Bf16(value);
        }
        View view = allocate(shape, as);
        check(cudaMemcpy(view.data, bytes.data(), bytes.size(), cudaMemcpyHostToDevice), "upload");
        check(cudaDeviceSynchronize(), "upload");  // the engine's stream does not wait for the default one
        return view;
    }
    // Poisoned: what is not written shows.
    View allocate(const Shape& shape, DType as) {
        View view{nullptr, shape, as};
        view.data = memory_.emplace_back(view.bytes()).data();
        check(cudaMemset(view.data, 0xff, view.bytes()), "poison");
        check(cudaDeviceSynchronize(), "poison");
        return view;
    }
    std::vector<double> download(const View& view) {
        std::vector<std::byte> bytes(view.bytes());
        check(cudaStreamSynchronize(context.stream()), "synchronize");
        check(cudaMemcpy(bytes.data(), view.data, bytes.size(), cudaMemcpyDeviceToHost), "download");
        std::vector<double> values(static_cast<size_t>(view.shape.size()));
        for (size_t i = 0; i < values.size(); ++i)
            values[i] =
                view.dtype == DType::F32
                    ? static_cast<double>(reinterpret_cast<const float*>(bytes.data())[i])
                    : static_cast<double>(static_cast<float>(reinterpret_cast<const Bf16*>(bytes.data())[i]));
        return values;
    }

    Context context;
    std::unique_ptr<ConvolutionEngine> engine;

  private:
    std::vector<DeviceMemory> memory_;
};

std::vector<double> normal(int64_t count, uint64_t seed, DType stored_as) {
    test::SplitMix64 random(seed);
    std::vector<double> values(static_cast<size_t>(count));
    for (double& value : values) {
        const auto drawn = static_cast<float>(random.normal());
        value = static_cast<double>(stored_as == DType::BF16 ? static_cast<float>(Bf16(drawn)) : drawn);
    }
    return values;
}

void expect_near(const char* what, const std::vector<double>& got, const std::vector<double>& want,
                 double limit) {
    ASSERT_EQ(got.size(), want.size()) << what;
    double largest = 0, error = 0;
    for (size_t i = 0; i < want.size(); ++i) {
        largest = std::max(largest, std::abs(want[i]));
        ASSERT_FALSE(std::isnan(got[i])) << what << " at " << i;
        error = std::max(error, std::abs(got[i] - want[i]));
    }
    EXPECT_GT(largest, 0) << what;
    EXPECT_TRUE(error <= limit * largest) << what << ": " << error << " of " << largest;
}

// [out][in][kh][kw], as the references have weights, to [out][kh][kw][in].
std::vector<double> device_order(const ConvSpec& s, const std::vector<double>& weights) {
    std::vector<double> ordered(weights.size());
    const int64_t taps = s.kernel_h * s.kernel_w;
    for (int64_t o = 0; o < s.out_channels; ++o)
        for (int64_t i = 0; i < s.in_channels; ++i)
            for (int64_t t = 0; t < taps; ++t)
                ordered[static_cast<size_t>((o * taps + t) * s.in_channels + i)] =
                    weights[static_cast<size_t>((o * s.in_channels + i) * taps + t)];
    return ordered;
}

// One case on the device with everything it needs there.
struct Loaded {
    Loaded(Device& device, const EngineCase& c) : spec(c.spec), x(c.x), dy(spec.output_shape(c.x)) {
        const DType type = device.type();
        weights = normal(weight_shape(spec).size(), 1, type);
        x.values = normal(x.shape.size(), 2, type);
        dy.values = normal(dy.shape.size(), 3, type);
        bias = normal(spec.out_channels, 4, type);
        const Shape flat{weight_shape(spec).size(), 1, 1, 1};
        device_w = {device.upload(device_order(spec, weights), flat, type).data, type};
        device_x = device.upload(x.values, x.shape, type);
        device_dy = device.upload(dy.values, dy.shape, type);
        device_bias = device.upload(bias, {1, 1, 1, spec.out_channels}, DType::F32).f32();
        device_y = device.allocate(dy.shape, type);
        device_dx = device.allocate(x.shape, type);
        device_dw = device.allocate(flat, DType::F32);
    }

    ConvSpec spec;
    ref::Tensor<double> x, dy;
    std::vector<double> weights, bias;
    DeviceKernel device_w;
    View device_x, device_dy, device_y, device_dx, device_dw;
    const float* device_bias = nullptr;
};

class EngineOnADevice : public testing::TestWithParam<Precision> {};

TEST_P(EngineOnADevice, AgreesWithThePlainLoops) {
    GS_SKIP_WITHOUT_DEVICE();
    Device device({.precision = GetParam()});
    const double limit = tolerance(GetParam());
    for (const EngineCase& c : engine_cases()) {
        Loaded l(device, c);
        SCOPED_TRACE(to_string(c.x) + " kernel " + std::to_string(c.spec.kernel_h));
        for (const Activation activation : {Activation::None, Activation::Relu}) {
            for (const bool with_bias : {false, true}) {
                device.engine->forward(l.spec, l.device_x, l.device_w, with_bias ? l.device_bias : nullptr,
                                       activation, l.device_y);
                const std::vector<double> bias = with_bias ? l.bias : std::vector<double>{};
                expect_near("y", device.download(l.device_y),
                            ref::convolution(l.spec, l.x, l.weights, bias, activation).values, limit);
            }
        }
        device.engine->backward_data(l.spec, l.device_dy, l.device_w, l.device_dx);
        expect_near("dx", device.download(l.device_dx),
                    ref::convolution_backward_data(l.spec, l.dy, l.weights, l.x.shape).values, limit);
        device.engine->backward_weights(l.spec, l.device_x, l.device_dy, l.device_dw.f32());
        expect_near("dw", device.download(l.device_dw),
                    device_order(l.spec, ref::convolution_backward_weights(l.spec, l.x, l.dy)), limit);
    }
}

// dy of one sample only: all other samples' dx are zeros, whatever algorithm was measured to be the fastest.
TEST_P(EngineOnADevice, KeepsExactZeros) {
    GS_SKIP_WITHOUT_DEVICE();
    Device device({.precision = GetParam()});
    for (const EngineCase& c : engine_cases()) {
        Loaded l(device, c);
        std::vector<double> one = l.dy.values;
        const auto sample = static_cast<size_t>(l.dy.shape.per_sample());
        std::fill(one.begin() + static_cast<int64_t>(sample), one.end(), 0.0);
        const View dy = device.upload(one, l.dy.shape, device.type());
        device.engine->backward_data(l.spec, dy, l.device_w, l.device_dx);
        const std::vector<double> dx = device.download(l.device_dx);
        EXPECT_NE(dx[0], 0.0);
        for (size_t i = static_cast<size_t>(c.x.per_sample()); i < dx.size(); ++i) ASSERT_EQ(dx[i], 0.0) << i;
    }
}

TEST_P(EngineOnADevice, RepeatsToTheBitWhereAsked) {
    GS_SKIP_WITHOUT_DEVICE();
    const CudaOptions options{.precision = GetParam(), .deterministic = true};
    std::vector<std::vector<double>> runs[2];
    for (auto& run : runs) {
        Device device(options);  // another context: choices are made anew
        for (const EngineCase& c : engine_cases()) {
            Loaded l(device, c);
            device.engine->forward(l.spec, l.device_x, l.device_w, l.device_bias, Activation::Relu,
                                   l.device_y);
            device.engine->backward_data(l.spec, l.device_dy, l.device_w, l.device_dx);
            device.engine->backward_weights(l.spec, l.device_x, l.device_dy, l.device_dw.f32());
            for (const View& out : {l.device_y, l.device_dx, l.device_dw})
                run.push_back(device.download(out));
        }
    }
    EXPECT_EQ(runs[0], runs[1]);
}

// After a first call nothing allocates and nothing waits: the second can be captured, and replays as it ran.
TEST_P(EngineOnADevice, CanBeCaptured) {
    GS_SKIP_WITHOUT_DEVICE();
    Device device({.precision = GetParam(), .deterministic = true});
    for (const EngineCase& c : engine_cases()) {
        Loaded l(device, c);
        const auto all = [&] {
            device.engine->forward(l.spec, l.device_x, l.device_w, l.device_bias, Activation::Relu,
                                   l.device_y);
            device.engine->backward_data(l.spec, l.device_dy, l.device_w, l.device_dx);
            device.engine->backward_weights(l.spec, l.device_x, l.device_dy, l.device_dw.f32());
        };
        all();
        all();  // scratch memory has grown to what the largest of the three takes
        const auto want = device.download(l.device_y);
        const cudaStream_t stream = device.context.stream();
        check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
        all();
        cudaGraph_t captured = nullptr;
        check(cudaStreamEndCapture(stream, &captured), "end of capture");
        const Graph graph(captured);
        cudaGraphExec_t made = nullptr;
        check(cudaGraphInstantiate(&made, graph.get(), 0), "cudaGraphInstantiate");
        const GraphExec exec(made);
        check(cudaMemsetAsync(l.device_y.data, 0xff, l.device_y.bytes(), stream), "poison");
        check(cudaGraphLaunch(exec.get(), stream), "cudaGraphLaunch");
        EXPECT_EQ(device.download(l.device_y), want);
    }
}

INSTANTIATE_TEST_SUITE_P(Precisions, EngineOnADevice,
                         testing::Values(Precision::F32, Precision::TF32, Precision::BF16),
                         [](const auto& precision) {
                             return std::string(precision.param == Precision::F32    ? "f32"
                                                : precision.param == Precision::TF32 ? "tf32"
                                                                                     : "bf16");
                         });

TEST(EngineChoices, AreKeptOnDisk) {
    GS_SKIP_WITHOUT_DEVICE();
    const auto path = std::filesystem::temp_directory_path() / ("gs_plans_" + std::to_string(::getpid()));
    const CudaOptions options{.precision = Precision::TF32, .plan_cache = path.string()};
    const auto forward = [&] {
        Device device(options);
        Loaded l(device, engine_cases().back());
        device.engine->forward(l.spec, l.device_x, l.device_w, nullptr, Activation::None, l.device_y);
        return device.download(l.device_y);
    };
    const auto first = forward();
    const auto written = read_file(path, ErrorKind::Data);
    EXPECT_GT(written.size(), 100u);
    expect_near("y", forward(), first, tolerance(Precision::TF32));  // what was fastest may add by atomics
    EXPECT_EQ(read_file(path, ErrorKind::Data), written);
    std::filesystem::remove(path);
}

TEST(EngineWithoutADevice, SaysSo) {
    if (!find_cuda_devices().devices.empty()) GTEST_SKIP() << "there is a device";
    try {
        Device device({});
        FAIL() << "a context without a device";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Device) << error.what();
    }
}

}  // namespace
}  // namespace gs::cuda
