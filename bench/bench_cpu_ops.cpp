// Operations of the CPU backend at the sizes that matter: BiT-R101x1 at 480x480 (batch 4) and CIFAR ResNet-34
// (batch 64). Convolutions report GFLOP/s (nominal: padding counted, Winograd not discounted), the other
// operations GB/s of what they must read and write.
//   bench_cpu_ops --benchmark_filter=forward/bit --benchmark_repetitions=5
// Other work on the machine only ever adds time, so compare the `min` lines.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "core/backend.h"

namespace {

using namespace gs;

Backend& backend() {
    static const auto instance = make_cpu_backend();
    return *instance;
}

// A tensor of seeded values.
class Random {
  public:
    explicit Random(const Shape& shape) : shape_(shape), buffer_(backend().upload(values(shape.size()))) {}
    View view() const { return buffer_.view(shape_); }
    operator View() const { return view(); }

    static std::vector<float> values(int64_t count) {
        std::minstd_rand engine(7);
        std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
        std::vector<float> result(static_cast<size_t>(count));
        for (float& v : result) v = uniform(engine);
        return result;
    }

  private:
    Shape shape_;
    Buffer buffer_;
};

void finish(benchmark::State& state, const char* unit, double amount) {
    state.counters[unit] = benchmark::Counter(amount * static_cast<double>(state.iterations()) * 1e-9,
                                              benchmark::Counter::kIsRate);
}

struct ConvCase {
    const char* name;
    ConvSpec spec;
    int64_t size;
    int64_t batch;
};
// Channels in and out, kernel, stride, padding; size of the map.
constexpr int64_t kBit = 4, kCifar = 64;
const std::array kConvolutions = {
    ConvCase{"bit/root", {3, 64, 7, 7, 2, 3, 1}, 480, kBit},
    ConvCase{"bit/1x1_256_64", {256, 64, 1, 1, 1, 0, 1}, 120, kBit},
    ConvCase{"bit/3x3_64", {64, 64, 3, 3, 1, 1, 1}, 120, kBit},
    ConvCase{"bit/1x1_64_256", {64, 256, 1, 1, 1, 0, 1}, 120, kBit},
    ConvCase{"bit/1x1_512_128", {512, 128, 1, 1, 1, 0, 1}, 60, kBit},
    ConvCase{"bit/3x3_128", {128, 128, 3, 3, 1, 1, 1}, 60, kBit},
    ConvCase{"bit/1x1_128_512", {128, 512, 1, 1, 1, 0, 1}, 60, kBit},
    ConvCase{"bit/1x1_1024_256", {1024, 256, 1, 1, 1, 0, 1}, 30, kBit},
    ConvCase{"bit/3x3_256", {256, 256, 3, 3, 1, 1, 1}, 30, kBit},
    ConvCase{"bit/1x1_256_1024", {256, 1024, 1, 1, 1, 0, 1}, 30, kBit},
    ConvCase{"bit/3x3s2_512", {512, 512, 3, 3, 2, 1, 1}, 30, kBit},
    ConvCase{"bit/3x3_512", {512, 512, 3, 3, 1, 1, 1}, 15, kBit},
    ConvCase{"bit/head", {2048, 1000, 1, 1, 1, 0, 1}, 1, kBit},
    ConvCase{"cifar/conv1", {3, 64, 3, 3, 1, 1, 1}, 32, kCifar},
    ConvCase{"cifar/3x3_64", {64, 64, 3, 3, 1, 1, 1}, 32, kCifar},
    ConvCase{"cifar/3x3s2_128", {64, 128, 3, 3, 2, 1, 1}, 32, kCifar},
    ConvCase{"cifar/3x3_128", {128, 128, 3, 3, 1, 1, 1}, 16, kCifar},
    ConvCase{"cifar/3x3_256", {256, 256, 3, 3, 1, 1, 1}, 8, kCifar},
    ConvCase{"cifar/3x3_512", {512, 512, 3, 3, 1, 1, 1}, 4, kCifar},
    ConvCase{"mobilenet/dw3x3_144", {144, 144, 3, 3, 1, 1, 144}, 56, 8},
    ConvCase{"mobilenet/dw3x3s2_144", {144, 144, 3, 3, 2, 1, 144}, 56, 8},
    ConvCase{"mobilenet/1x1_144_24", {144, 24, 1, 1, 1, 0, 1}, 56, 8},
};

void convolution(benchmark::State& state, const ConvCase& c, bool forward) {
    const Shape shape{c.batch, c.size, c.size, c.spec.in_channels};
    const Random x(shape), y(c.spec.output_shape(shape));
    const int64_t fan_in = c.spec.in_channels / c.spec.groups * c.spec.kernel_h * c.spec.kernel_w;
    const auto layer = backend().make_convolution(c.spec, Random::values(c.spec.out_channels * fan_in),
                                                  Random::values(c.spec.out_channels));
    const auto run = [&] {
        if (forward) {
            layer->forward(x, y, Activation::None);
        } else {
            layer->backward_data(y, x);
        }
    };
    run();  // makes formats and primitives
    for (auto _ : state) run();
    finish(state, "GFLOP/s", c.spec.flops(shape));
}

// Maps of the stages' residual streams (one image: a micro-batch that stays in the last-level cache), and
// narrow ones.
const std::array kMaps = {Shape{1, 120, 120, 256},   Shape{1, 120, 120, 64},  Shape{1, 60, 60, 512},
                          Shape{1, 30, 30, 1024},    Shape{1, 30, 30, 256},   Shape{1, 15, 15, 2048},
                          Shape{kCifar, 32, 32, 64}, Shape{kCifar, 4, 4, 512}};

// Tensors that the operations below share.
struct Maps {
    Random x, other, y, channels_a, channels_b, stats, sums;
    GroupNormParams norm;

    explicit Maps(const Shape& s)
        : x(s),
          other(s),
          y(s),
          channels_a({1, 1, 1, s.c}),
          channels_b({1, 1, 1, s.c}),
          stats({s.n, 1, 32, 2}),
          sums({s.n, 1, 1, s.c}) {
        norm.gamma = channels_a;
        norm.beta = channels_b;
        backend().group_norm_stats(x, norm, stats);
    }
};

struct MapOperation {
    const char* name;
    int sweeps;  // tensors read or written once
    std::function<void(const Maps&)> run;
};
const std::array kOperations = {
    MapOperation{"add_relu", 3, [](const Maps& m) { backend().add(m.x, m.other, Activation::Relu, m.y); }},
    MapOperation{"copy", 2, [](const Maps& m) { backend().copy(m.x, m.y); }},
    MapOperation{"channel_affine", 2,
                 [](const Maps& m) {
                     backend().channel_affine(m.x, m.channels_a, m.channels_b, Activation::Relu, m.y);
                 }},
    MapOperation{"group_norm_stats", 1,
                 [](const Maps& m) { backend().group_norm_stats(m.x, m.norm, m.stats); }},
    MapOperation{"group_norm_relu", 2,
                 [](const Maps& m) { backend().group_norm(m.x, m.stats, m.norm, Activation::Relu, m.y); }},
    MapOperation{"add_with_stats", 3,
                 [](const Maps& m) { backend().add_with_stats(m.x, m.other, m.y, m.norm, m.stats); }},
    MapOperation{"group_norm_backward", 3,
                 [](const Maps& m) {
                     const View term = m.other;
                     backend().group_norm_backward({.terms = {&term, 1},
                                                    .x = m.x,
                                                    .stats = m.stats,
                                                    .activation = Activation::Relu,
                                                    .addend = {},
                                                    .dx = m.y,
                                                    .sinks = {}},
                                                   m.norm);
                 }},
    MapOperation{"pointwise_backward", 3,
                 [](const Maps& m) {
                     const View term = m.other;
                     const TapSink sink{Reduction::NonzeroShare, m.sums};
                     backend().pointwise_backward({.terms = {&term, 1},
                                                   .activation = Activation::Relu,
                                                   .y = m.x,
                                                   .scale = m.channels_a,
                                                   .addend = {},
                                                   .dx = m.y,
                                                   .sinks = {&sink, 1}});
                 }},
    MapOperation{"reduce", 1,
                 [](const Maps& m) {
                     const TapSink sink{Reduction::Mean, m.sums};
                     backend().reduce(m.x, {&sink, 1});
                 }},
};

void map_operation(benchmark::State& state, const MapOperation& operation, const Shape& shape) {
    const Maps maps(shape);
    operation.run(maps);
    for (auto _ : state) operation.run(maps);
    finish(state, "GB/s", static_cast<double>(operation.sweeps * shape.size()) * sizeof(float));
}

void max_pool(benchmark::State& state) {
    const Random x({kBit, 240, 240, 64}), y({kBit, 120, 120, 64});
    const PoolSpec spec{3, 2, 1, true};
    const Buffer winner = backend().allocate(static_cast<size_t>(y.view().shape.size()));
    for (auto _ : state) backend().max_pool(x, spec, y, winner.view(y.view().shape, 0, DType::U8));
    finish(state, "GB/s", static_cast<double>(x.view().bytes() + y.view().bytes() * 5 / 4));
}

template <class... Arguments>
void add(const std::string& name, Arguments&&... arguments) {
    benchmark::RegisterBenchmark(name.c_str(), std::forward<Arguments>(arguments)...)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond)
        ->ComputeStatistics(
            "min", [](const std::vector<double>& v) { return *std::min_element(v.begin(), v.end()); });
}

}  // namespace

int main(int argc, char** argv) {
    for (const ConvCase& c : kConvolutions) {
        add(std::string("forward/") + c.name, [&c](benchmark::State& s) { convolution(s, c, true); });
        add(std::string("backward/") + c.name, [&c](benchmark::State& s) { convolution(s, c, false); });
    }
    for (const MapOperation& operation : kOperations) {
        for (const Shape& shape : kMaps) {
            add(std::string(operation.name) + "/" + to_string(shape),
                [&](benchmark::State& s) { map_operation(s, operation, shape); });
        }
    }
    add("max_pool/root", max_pool);
    benchmark::AddCustomContext("backend", backend().description());
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
