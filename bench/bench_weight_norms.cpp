// Norms of per-sample weight gradients, one image on one thread: every class of convolution of BiT-S-R101x1
// at 480x480 and of CIFAR's ResNet-34. All times are of the processor, so that other work on the machine
// counts less; beside each are measured, right before it,
//   of ordinary  the time over that of the ordinary weight gradient of the same image
//   of peak      the gradient's operations a second over those of the machine's matrix product on data in the
//                first-level cache; for p = 2 alone it counts the multiply-adds of the gradient, not those
//                done
// MiB: the input and the gradient at the output, read once.
// class_gram: the Gram matrix of ten cotangents and twenty combinations, "of norms" beside the squared norms
// of the ten.
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

// What a layer's norms read and write, of one image and some cotangents.
class Layer {
  public:
    explicit Layer(const NormCase& c, int64_t cotangents = 1)
        : case_(c),
          rows_(cotangents),
          x_(random_values(input().size())),
          dy_(random_values(output().size() * rows_)),
          scale_(random_values(output().c)),
          weights_(random_values(weights().size())),
          y_(random_values(output().size())),
          squares_(backend().upload(std::vector<float>(static_cast<size_t>(output().c),
                                                       static_cast<float>(weights().size() / output().c)))),
          out_(backend().allocate(static_cast<size_t>(rows_) * sizeof(float))) {}

    Shape input() const { return {1, case_.size, case_.size, case_.spec.in_channels}; }
    Shape output() const { return case_.spec.output_shape(input()); }
    View x() const { return x_.view(input()); }
    View dy() const { return dy_.view(output().with_n(rows_)); }

    WeightGradientNorm gradients(bool squares) const {
        const Shape channels{1, 1, 1, output().c};
        WeightGradientNorm args{.spec = case_.spec, .x = x(), .dy = dy(), .scale = scale_.view(channels)};
        if (!case_.standardised) return args;
        args.standardised = weights_.view(weights());
        if (squares && backend().squared_norm_reads_output(case_.spec, input()))
            args.output = {y_.view(output()), squares_.view(channels)};
        return args;
    }
    void norm(double p) const {
        const PowerSum norm{p, out_.view({rows_, 1, 1, 1})};
        WeightGradientNorm args = gradients(p == 2);
        args.norms = {&norm, 1};
        backend().weight_gradient_norm(args);
    }

  private:
    NormCase case_;
    int64_t rows_;
    Buffer x_, dy_, scale_, weights_, y_, squares_, out_;
    Shape weights() const {
        return {1, output().c, case_.spec.kernel_h * case_.spec.kernel_w, case_.spec.in_channels};
    }
};

// Seconds an iteration.
template <class F>
double timed(benchmark::State& state, const F& f) {
    f();
    const double start = processor_seconds();
    for (auto _ : state) f();
    return (processor_seconds() - start) / static_cast<double>(std::max<int64_t>(state.iterations(), 1));
}

void weight_norm(benchmark::State& state, const NormCase& c, double p) {
    const Layer layer(c);
    const double ordinary = ordinary_seconds(c, layer.x(), layer.dy()), most = peak();
    const double seconds = timed(state, [&] { layer.norm(p); });
    const double flops = c.spec.flops(layer.input());
    state.counters["GFLOP/s"] = flops * 1e-9 / seconds;
    state.counters["of peak"] = flops / seconds / most;
    state.counters["of ordinary"] = seconds / ordinary;
    state.counters["MiB"] =
        static_cast<double>((layer.input().size() + layer.output().size()) * 4) / (1 << 20);
}

void class_gram(benchmark::State& state, const NormCase& c) {
    constexpr int64_t kClasses = 10, kCombinations = 20;
    const Layer layer(c, kClasses);
    const Buffer coefficients = random_values(kCombinations * kClasses),
                 out = backend().allocate(kCombinations * sizeof(float));
    const double norms = best_seconds([&] { layer.norm(2); });
    const double seconds = timed(state, [&] {
        backend().combined_gradient_norm({layer.gradients(true),
                                          coefficients.view({kCombinations, 1, 1, kClasses}),
                                          out.view({kCombinations, 1, 1, 1})});
    });
    state.counters["of norms"] = seconds / norms;
}

}  // namespace

int main(int argc, char** argv) {
    for (const NormCase& c : kCases)
        for (const double p : {1.0, 2.0})
            benchmark::RegisterBenchmark(
                (std::string("weight_norm/") + c.name + "/p" + (p == 1 ? "1" : "2")).c_str(),
                [&c, p](benchmark::State& s) { weight_norm(s, c, p); })
                ->Unit(benchmark::kMillisecond);
    for (const NormCase& c : kCases)
        benchmark::RegisterBenchmark((std::string("class_gram/") + c.name).c_str(), [&c](
                                                                                        benchmark::State& s) {
            class_gram(s, c);
        })->Unit(benchmark::kMillisecond);
    benchmark::AddCustomContext("backend", backend().description());
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
