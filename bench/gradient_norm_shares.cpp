// What per-sample norms of weight gradients cost beside the ordinary weight gradient of the same batch, for
// every class of convolution of a net: our kernels' time, that of the device's own batched weight gradient
// (cuDNN's or cuBLAS's on a GPU), their ratio, and what the norms reach in multiply-adds. A layer's data are
// random, its standardised weights and scales as in the net. The two are timed in turn, and the least of the
// rounds is taken.
//   gradient_norm_shares cuda bf16                    BiT-S-R101x1 and CIFAR's ResNet-34
//   gradient_norm_shares cuda tf32 bit-r101x1 64 1    a net, images a batch, an exponent
//   gradient_norm_shares cuda bf16-wgmma              norms by wgmma where layers allow it
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "layers/convolution.h"
#include "nets/net.h"

namespace {

using namespace gs;

struct Case {
    std::string net;
    int64_t classes, size, batch;
};
const Case kCases[] = {{"resnet34-cifar", 10, 32, 256}, {"bit-r101x1", 1000, 480, 32}};

// Convolutions of one kind, and how many the net has.
struct LayerClass {
    const Conv2d* layer;
    Shape x;
    bool of_image;
    int count;
};

std::vector<LayerClass> classes_of(const Net& net, const Shape& image) {
    std::vector<Shape> shapes{image};
    std::vector<LayerClass> found;
    for (const Node& node : net.nodes) {
        std::vector<Shape> inputs;
        for (const ValueId input : node.inputs) inputs.push_back(shapes[static_cast<size_t>(input)]);
        shapes.push_back(node.layer->output_shape(inputs));
        const auto* layer = dynamic_cast<const Conv2d*>(node.layer.get());
        if (layer == nullptr || inputs[0].pixels() == 1) continue;  // a linear layer's norm is a closed form
        const auto same = std::find_if(found.begin(), found.end(), [&](const LayerClass& c) {
            return c.layer->spec() == layer->spec() && c.x == inputs[0];
        });
        if (same == found.end())
            found.push_back({layer, inputs[0], node.inputs[0] == 0, 1});
        else
            ++same->count;
    }
    return found;
}

// A million that come again and again: to draw the maps of BiT takes longer than to measure it.
std::vector<float> random_values(int64_t count) {
    static const std::vector<float> drawn = [] {
        std::minstd_rand engine(7);
        std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
        std::vector<float> values(1 << 20);
        for (float& v : values) v = uniform(engine);
        return values;
    }();
    std::vector<float> values(static_cast<size_t>(count));
    for (size_t i = 0; i < values.size(); i += drawn.size())
        std::copy_n(drawn.begin(), std::min(drawn.size(), values.size() - i),
                    values.begin() + static_cast<int64_t>(i));
    return values;
}

// A map of the backend's type, or a float32 image. Backends are handed float32 alone: two values of bfloat16
// go as the bits of one.
class Map {
  public:
    Map(Backend& backend, const Shape& shape, DType type)
        : buffer_(backend.upload(type == DType::BF16 ? packed(random_values(shape.size()))
                                                     : random_values(shape.size()))),
          view_{buffer_.data(), shape, type} {}
    const View& view() const { return view_; }

  private:
    Buffer buffer_;
    View view_;

    static std::vector<float> packed(const std::vector<float>& values) {
        const std::vector<Bf16> rounded(values.begin(), values.end());
        std::vector<float> pairs((values.size() + 1) / 2);
        std::memcpy(pairs.data(), rounded.data(), rounded.size() * sizeof(Bf16));
        return pairs;
    }
};

// Seconds of a call, of as many that they take 20 ms.
template <class F>
double seconds(Backend& backend, const F& call) {
    const auto time = [&](int calls) {
        backend.synchronize();
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < calls; ++i) call();
        backend.synchronize();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    const double once = time(1);
    const int calls = std::clamp(static_cast<int>(0.02 / std::max(once, 1e-6)), 1, 1000);
    return time(calls) / calls;
}

struct Times {
    double norm = 1e30, gradient = 1e30;  // of the batch
};

Times measure(Backend& backend, const LayerClass& c, double p) {
    constexpr int kRounds = 5;
    const ConvSpec& spec = c.layer->spec();
    const Shape y = c.layer->output_shape({&c.x, 1});
    const Map x(backend, c.x, c.of_image ? DType::F32 : backend.map_type()),
        dy(backend, y, backend.map_type());
    const Buffer out = backend.allocate(static_cast<size_t>(y.n) * sizeof(float)),
                 dw = backend.allocate(static_cast<size_t>(weight_shape(spec).size()) * sizeof(float));
    const auto convolution = backend.make_convolution(spec, random_values(weight_shape(spec).size()), {});
    const PowerSum sum{p, out.view({y.n, 1, 1, 1})};
    std::vector<std::span<const PowerSum>> norms(c.layer->parameters().size());
    norms[0] = {&sum, 1};
    const auto norm = [&] {
        c.layer->gradient_norms(backend, {.x = x.view(), .dy = dy.view(), .norms = norms});
    };
    const auto gradient = [&] {
        convolution->backward_weights(x.view(), dy.view(), dw.view(weight_shape(spec)));
    };
    norm();
    gradient();  // chooses its algorithm
    Times best;
    for (int round = 0; round < kRounds; ++round) {
        best.norm = std::min(best.norm, seconds(backend, norm));
        best.gradient = std::min(best.gradient, seconds(backend, gradient));
    }
    return best;
}

// What the device's library makes of a large product: the yardstick of the last column.
void print_peak(Backend& backend, int64_t side) {
    const ConvSpec spec{.in_channels = side, .out_channels = side};
    const Map x(backend, {side, 1, 1, side}, backend.map_type()),
        y(backend, x.view().shape, backend.map_type());
    const auto product = backend.make_convolution(spec, random_values(side * side), {});
    const auto call = [&] { product->forward(x.view(), y.view(), Activation::None); };
    call();
    double best = 1e30;
    for (int round = 0; round < 5; ++round) best = std::min(best, seconds(backend, call));
    const auto n = static_cast<double>(side);
    std::printf("a product of %lld x %lld x %lld by its library: %.3g TFLOP/s\n",
                static_cast<long long>(side), static_cast<long long>(side), static_cast<long long>(side),
                2 * n * n * n / best * 1e-12);
    std::fflush(stdout);
}

void run(Backend& backend, const Case& c, double p) {
    const Net net = build_random_net(backend, c.net, c.classes, 1);
    std::printf("\n## %s at %lldx%lld, batch %lld, p = %g\n\n", c.net.c_str(), static_cast<long long>(c.size),
                static_cast<long long>(c.size), static_cast<long long>(c.batch), p);
    std::printf(
        "| layer | O x K | S | count | norms, us/image | weight gradient, us/image | ratio | norms, TFLOP/s "
        "|\n");
    std::printf("|---|---|---|---|---|---|---|---|\n");
    Times total{0, 0};
    double flops = 0;
    for (const LayerClass& layer : classes_of(net, {c.batch, c.size, c.size, 3})) {
        const Times times = measure(backend, layer, p);
        const ConvSpec& spec = layer.layer->spec();
        const double per_image = 1e6 / static_cast<double>(c.batch), done = spec.flops(layer.x);
        total.norm += times.norm * layer.count;
        total.gradient += times.gradient * layer.count;
        flops += done * layer.count;
        std::printf("| %s, %lld -> %lld | %lld x %lld | %lld | %d | %.2f | %.2f | %.2f | %.3g |\n",
                    layer.layer->kind().c_str(), static_cast<long long>(spec.in_channels),
                    static_cast<long long>(spec.out_channels), static_cast<long long>(spec.out_channels),
                    static_cast<long long>(spec.kernel_h * spec.kernel_w * spec.in_channels / spec.groups),
                    static_cast<long long>(spec.output_shape(layer.x).pixels()), layer.count,
                    times.norm * per_image, times.gradient * per_image, times.norm / times.gradient,
                    done / times.norm * 1e-12);
        std::fflush(stdout);
    }
    const double per_image = 1e6 / static_cast<double>(c.batch);
    std::printf("| **all** | | | | %.1f | %.1f | %.2f | %.3g |\n", total.norm * per_image,
                total.gradient * per_image, total.norm / total.gradient, flops / total.norm * 1e-12);
}

int usage() {
    std::fprintf(stderr,
                 "usage: gradient_norm_shares cpu|cuda f32|tf32|bf16|bf16-wgmma [NET [BATCH [EXPONENT]]]\n"
                 "NET: bit-r101x1 or resnet34-cifar; default both\n");
    return 2;
}

}  // namespace

int main(int argc, char** argv) try {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const std::string precisions[] = {"f32", "tf32", "bf16", "bf16-wgmma"};
    if (words.size() < 2 || words.size() > 5) return usage();
    const auto* found = std::find(std::begin(precisions), std::end(precisions), words[1]);
    if (found == std::end(precisions) || (words[0] != "cpu" && words[0] != "cuda")) return usage();
    const bool wgmma = *found == "bf16-wgmma";
    if (wgmma && words[0] == "cpu") return usage();
    const auto precision = wgmma ? Precision::BF16 : static_cast<Precision>(found - std::begin(precisions));
    const auto backend = words[0] == "cpu"
                             ? make_cpu_backend({.threads = 1, .precision = precision})
                             : make_cuda_backend({.precision = precision, .wgmma_norms = wgmma});
    std::printf("# %s\n", backend->description().c_str());
    print_peak(*backend, words[0] == "cpu" ? 1024 : 8192);
    for (Case c : kCases) {
        if (words.size() > 2 && words[2] != c.net) continue;
        if (words.size() > 3) c.batch = std::max(1, std::atoi(words[3].c_str()));
        run(*backend, c, words.size() > 4 ? std::atof(words[4].c_str()) : 1);
    }
    return 0;
} catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
