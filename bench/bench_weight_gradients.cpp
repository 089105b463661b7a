// An ordinary weight-gradient pass (backward_weights of every layer, summed over the batch), the yardstick of
// the per-sample norms beside it, p = 1 and p = 2: CIFAR ResNet-34, batch 16, and BiT-R101x1 at 480x480,
// batch
// 2. Data gradients are in none of them.
//   OMP_NUM_THREADS=1 bench_weight_gradients --benchmark_repetitions=5
//   --benchmark_enable_random_interleaving=true
// Other work on the machine only ever adds time: compare the CPU column's `min` lines.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "nets/net.h"

namespace {

using namespace gs;

struct Case {
    const char* net;
    int64_t classes, size, batch;
};
constexpr std::array kCases = {Case{"resnet34-cifar", 10, 32, 16}, Case{"bit-r101x1", 1000, 480, 2}};

Backend& backend() {
    static const auto instance = make_cpu_backend();
    return *instance;
}

// Random values, handed out round and round: like those of a pass, a layer's inputs are not in cache.
class Ring {
  public:
    Ring() : buffer_(backend().upload(values())) {}
    View take(const Shape& shape) {
        const int64_t size = (shape.size() + 15) / 16 * 16;
        GS_REQUIRE(size <= kFloats);
        if (at_ + size > kFloats) at_ = 0;
        at_ += size;
        return buffer_.view(shape, static_cast<size_t>(at_ - size) * sizeof(float));
    }

  private:
    static constexpr int64_t kFloats = 64 << 20;
    Buffer buffer_;
    int64_t at_ = 0;

    static std::vector<float> values() {
        std::minstd_rand engine(7);
        std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
        std::vector<float> all(static_cast<size_t>(kFloats));
        for (float& v : all) v = uniform(engine);
        return all;
    }
};

// One layer with what its gradients are made from and go to.
struct Job {
    const Layer* layer;
    View x, dy, state;
    std::vector<View> gradients;
    View workspace;
    View output{};                                          // that the squared norm reads
    std::vector<PowerSum> norm{}, square{};                 // of the weight
    std::vector<std::span<const PowerSum>> norms, squares;  // by parameter
    double flops;
};

class Pass {
  public:
    explicit Pass(const Case& c) : net_(build_random_net(backend(), c.net, c.classes, 1)) {
        std::vector<Shape> shapes{{c.batch, c.size, c.size, 3}};
        for (const Node& node : net_.nodes) {
            std::vector<Shape> inputs;
            for (const ValueId input : node.inputs) inputs.push_back(shapes[static_cast<size_t>(input)]);
            shapes.push_back(node.layer->output_shape(inputs));
            if (!node.parameters.empty()) add(node, inputs, shapes.back());
        }
    }
    void weights() const {
        for (const Job& job : jobs_)
            job.layer->backward_weights(backend(), {.x = job.x,
                                                    .dy = job.dy,
                                                    .state = job.state,
                                                    .gradients = job.gradients,
                                                    .workspace = job.workspace});
    }
    void norms() const {
        for (const Job& job : jobs_)
            if (!job.norm.empty())
                job.layer->gradient_norms(backend(), {.x = job.x, .dy = job.dy, .norms = job.norms});
    }
    void squares() const {
        for (const Job& job : jobs_)
            if (!job.norm.empty())
                job.layer->gradient_norms(backend(),
                                          {.x = job.x, .dy = job.dy, .y = job.output, .norms = job.squares});
    }
    double flops() const {
        double sum = 0;
        for (const Job& job : jobs_) sum += job.flops;
        return sum;
    }

  private:
    Net net_;
    Ring ring_;
    std::vector<Buffer> buffers_;
    std::vector<Job> jobs_;

    View own(const Shape& shape) {
        buffers_.push_back(backend().allocate(static_cast<size_t>(shape.size()) * sizeof(float)));
        return buffers_.back().view(shape);
    }
    void add(const Node& node, const std::vector<Shape>& inputs, const Shape& y) {
        const std::vector<Parameter> parameters = node.layer->parameters();
        Job job{.layer = node.layer.get(),
                .x = ring_.take(inputs[0]),
                .dy = ring_.take(y),
                .state = {},
                .gradients = {},
                .workspace = own({1, 1, 1, node.layer->backward_weights_workspace(y.n)}),
                .norms = {},
                .squares = {},
                .flops = node.layer->flops(inputs)};
        if (const Shape state = node.layer->state_shape(inputs[0]); state.n > 0)
            job.state = ring_.take(state);
        for (const Parameter& parameter : parameters)
            job.gradients.push_back(own({1, 1, 1, element_count(parameter)}));
        job.norms.resize(parameters.size());
        job.squares.resize(parameters.size());
        if (node.layer->norms_read_output(backend(), inputs[0].with_n(1))) job.output = ring_.take(y);
        if (parameters[0].kind == Parameter::Kind::Weight) {
            job.norm.push_back({.p = 1, .out = own({y.n, 1, 1, 1})});
            job.square.push_back({.p = 2, .out = own({y.n, 1, 1, 1})});
            job.norms[0] = job.norm;  // a moved vector keeps its memory
            job.squares[0] = job.square;
        }
        jobs_.push_back(std::move(job));
    }
};

const Pass& pass_of(const Case& c) {
    static std::map<std::string, std::unique_ptr<Pass>> passes;
    std::unique_ptr<Pass>& pass = passes[c.net];
    if (!pass) pass = std::make_unique<Pass>(c);
    return *pass;
}

void run(benchmark::State& state, const Case& c, void (Pass::*what)() const) {
    const Pass& pass = pass_of(c);
    (pass.*what)();  // makes formats and primitives
    for (auto _ : state) (pass.*what)();
    state.counters["GFLOP/s"] = benchmark::Counter(
        pass.flops() * static_cast<double>(state.iterations()) * 1e-9, benchmark::Counter::kIsRate);
}

void add(const std::string& name, const Case& c, void (Pass::*what)() const) {
    benchmark::RegisterBenchmark((name + "/" + c.net + "/" + std::to_string(c.batch)).c_str(),
                                 [&c, what](benchmark::State& s) { run(s, c, what); })
        ->MeasureProcessCPUTime()
        ->Unit(benchmark::kMillisecond)
        ->ComputeStatistics(
            "min", [](const std::vector<double>& v) { return *std::min_element(v.begin(), v.end()); });
}

}  // namespace

int main(int argc, char** argv) {
    for (const Case& c : kCases) {
        add("weight_gradients", c, &Pass::weights);
        add("weight_gradient_norms", c, &Pass::norms);
        add("weight_gradient_squares", c, &Pass::squares);
    }
    benchmark::AddCustomContext("backend", backend().description());
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
}
