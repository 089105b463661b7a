// Norms of per-sample weight gradients, one image on one thread: every class of convolution of BiT-S-R101x1
// at 480x480 and of CIFAR's ResNet-34. All times are of the processor, so that other work on the machine
// counts less; beside each are measured, right before it,
//   of ordinary  the time over that of the ordinary weight gradient of the same image
//   of peak      the gradient's operations a second over those of the machine's matrix product on data in the
//                first-level cache; for p = 2 alone it counts the multiply-adds of the gradient, not those
//                done
// MiB: the input and the gradient at the output, read once.
//   OMP_NUM_THREADS=1 bench_weight_norms --benchmark_repetitions=5
//   --benchmark_enable_random_interleaving=true
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "core/backend.h"
#include "cpu/kernels/kernels.h"

namespace {

using namespace gs;

Backend& backend() {
    static const auto instance = make_cpu_backend({.threads = 1});
    return *instance;
}

Buffer random_values(int64_t count) {
    std::minstd_rand engine(7);
    std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
    std::vector<float> values(static_cast<size_t>(count));
    for (float& v : values) v = uniform(engine);
    return backend().upload(values);
}

double processor_seconds() {
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}
// Of the best of a few runs of at least a hundredth of a second.
template <class F>
double best_seconds(const F& f) {
    double best = 1e30;
    for (int run = 0; run < 5; ++run) {
        int64_t count = 0;
        const double start = processor_seconds();
        double spent = 0;
        while (spent < 0.01) {
            f();
            ++count;
            spent = processor_seconds() - start;
        }
        best = std::min(best, spent / static_cast<double>(count));
    }
    return best;
}

// Operations a second of the inner tile.
double peak() {
    const cpu::Kernels& kernels = cpu::best_kernels();
    constexpr int64_t kDepth = 128;
    const int64_t rows = kernels.gemm_rows, columns = kernels.gemm_columns;
    std::vector<float> a(static_cast<size_t>(rows * kDepth)), b(static_cast<size_t>(columns * kDepth)),
        c(static_cast<size_t>(rows * columns));
    cpu::GemmTile tile{};
    tile.a = a.data();
    tile.lda = 1;
    tile.k_pitch = rows;
    tile.b = b.data();
    tile.k = kDepth;
    tile.c = c.data();
    tile.ldc = tile.columns = columns;
    tile.rows = rows;
    constexpr int kTiles = 100;  // between two looks at the clock
    const double seconds = best_seconds([&] {
        for (int i = 0; i < kTiles; ++i) kernels.gemm_tile(tile);
    });
    return 2.0 * static_cast<double>(rows * columns * kDepth * kTiles) / seconds;
}

struct NormCase {
    const char* name;
    ConvSpec spec;
    int64_t size;
    bool standardised;
};
const std::array kCases = {
    NormCase{"bit/root", {3, 64, 7, 7, 2, 3, 1}, 480, true},
    NormCase{"bit/1x1_64_256", {64, 256, 1, 1, 1, 0, 1}, 120, true},
    NormCase{"bit/1x1_256_64", {256, 64, 1, 1, 1, 0, 1}, 120, true},
    NormCase{"bit/3x3_64", {64, 64, 3, 3, 1, 1, 1}, 120, true},
    NormCase{"bit/1x1_128_512", {128, 512, 1, 1, 1, 0, 1}, 60, true},
    NormCase{"bit/1x1_512_128", {512, 128, 1, 1, 1, 0, 1}, 60, true},
    NormCase{"bit/3x3_128", {128, 128, 3, 3, 1, 1, 1}, 60, true},
    NormCase{"bit/1x1_256_1024", {256, 1024, 1, 1, 1, 0, 1}, 30, true},
    NormCase{"bit/1x1_1024_256", {1024, 256, 1, 1, 1, 0, 1}, 30, true},
    NormCase{"bit/3x3_256", {256, 256, 3, 3, 1, 1, 1}, 30, true},
    NormCase{"bit/3x3s2_256", {256, 256, 3, 3, 2, 1, 1}, 60, true},
    NormCase{"bit/1x1_512_2048", {512, 2048, 1, 1, 1, 0, 1}, 15, true},
    NormCase{"bit/1x1_2048_512", {2048, 512, 1, 1, 1, 0, 1}, 15, true},
    NormCase{"bit/3x3_512", {512, 512, 3, 3, 1, 1, 1}, 15, true},
    NormCase{"bit/3x3s2_512", {512, 512, 3, 3, 2, 1, 1}, 30, true},
    NormCase{"bit/1x1s2_1024_2048", {1024, 2048, 1, 1, 2, 0, 1}, 30, true},
    NormCase{"cifar/conv1", {3, 64, 3, 3, 1, 1, 1}, 32, false},
    NormCase{"cifar/3x3_64", {64, 64, 3, 3, 1, 1, 1}, 32, false},
    NormCase{"cifar/3x3s2_128", {64, 128, 3, 3, 2, 1, 1}, 32, false},
    NormCase{"cifar/3x3_128", {128, 128, 3, 3, 1, 1, 1}, 16, false},
    NormCase{"cifar/3x3_256", {256, 256, 3, 3, 1, 1, 1}, 8, false},
    NormCase{"cifar/3x3_512", {512, 512, 3, 3, 1, 1, 1}, 4, false},
    NormCase{"cifar/1x1s2_256_512", {256, 512, 1, 1, 2, 0, 1}, 8, false},
};

double ordinary_seconds(const NormCase& c, View x, View dy) {
    const std::vector<float> weights(static_cast<size_t>(weight_shape(c.spec).size()), 0.1f);
    const auto convolution = backend().make_convolution(c.spec, weights, {});
    const Buffer dw = backend().allocate(weights.size() * sizeof(float));
    const auto run = [&] { convolution->backward_weights(x, dy, dw.view(weight_shape(c.spec))); };
    run();
    return best_seconds(run);
}

void weight_norm(benchmark::State& state, const NormCase& c, double p) {
    const Shape x{1, c.size, c.size, c.spec.in_channels}, y = c.spec.output_shape(x);
    const Shape w{1, y.c, c.spec.kernel_h * c.spec.kernel_w, x.c};
    const Buffer inputs = random_values(x.size()), gradients = random_values(y.size());
    const Buffer scale = random_values(y.c), weights = random_values(w.size()),
                 output = random_values(y.size()), out = backend().allocate(sizeof(float));
    const Buffer squares =
        backend().upload(std::vector<float>(static_cast<size_t>(y.c), static_cast<float>(w.size() / y.c)));
    const bool reads_output = c.standardised && p == 2 && backend().squared_norm_reads_output(c.spec, x);
    const PowerSum norm{p, out.view({1, 1, 1, 1})};
    const auto run = [&] {
        backend().weight_gradient_norm(
            {.spec = c.spec,
             .x = inputs.view(x),
             .dy = gradients.view(y),
             .scale = scale.view({1, 1, 1, y.c}),
             .standardised = c.standardised ? weights.view(w) : View{},
             .norms = {&norm, 1},
             .output = reads_output ? StandardisedOutput{output.view(y), squares.view({1, 1, 1, y.c})}
                                    : StandardisedOutput{}});
    };
    run();
    const double ordinary = ordinary_seconds(c, inputs.view(x), gradients.view(y)), most = peak();
    const double start = processor_seconds();
    for (auto _ : state) run();
    const double seconds =
        (processor_seconds() - start) / static_cast<double>(std::max<int64_t>(state.iterations(), 1));
    state.counters["GFLOP/s"] = c.spec.flops(x) * 1e-9 / seconds;
    state.counters["of peak"] = c.spec.flops(x) / seconds / most;
    state.counters["of ordinary"] = seconds / ordinary;
    state.counters["MiB"] = static_cast<double>((x.size() + y.size()) * 4) / (1 << 20);
}

}  // namespace

int main(int argc, char** argv) {
    for (const NormCase& c : kCases)
        for (const double p : {1.0, 2.0})
            benchmark::RegisterBenchmark(
                (std::string("weight_norm/") + c.name + "/p" + (p == 1 ? "1" : "2")).c_str(),
                [&c, p](benchmark::State& s) { weight_norm(s, c, p); })
                ->Unit(benchmark::kMillisecond);
    benchmark::AddCustomContext("backend", backend().description());
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
