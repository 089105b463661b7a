// What a score must not depend on: the number of threads, and which other samples share the batch. Every
// operation gives the same bits for 1, 2 and 3 threads, and for a sample alone and inside a batch; but for
// convolutions of libraries that choose their order of summation by the batch, which agree closely.
#include <gtest/gtest.h>

#include <functional>

#include "tests/support/maps.h"

namespace gs::test {
namespace {

constexpr int64_t kSamples = 3;
constexpr int64_t kCotangents = 2;

// The samples [first, first + count) of a batch of kSamples. `rows` does the same to gradients.
struct Part {
    int64_t first = 0, count = kSamples;

    ref::Tensor<float> samples(const ref::Tensor<float>& all) const { return take(all, 1); }
    ref::Tensor<float> rows(const ref::Tensor<float>& all) const { return take(all, kCotangents); }
    ref::Tensor<float> take(const ref::Tensor<float>& all, int64_t cotangents) const {
        ref::Tensor<float> some(all.shape.with_n(cotangents * count));
        for (int64_t k = 0; k < cotangents; ++k) {
            const auto from = all.values.begin() + (k * kSamples + first) * all.shape.per_sample();
            std::copy_n(from, count * all.shape.per_sample(),
                        some.values.begin() + k * count * all.shape.per_sample());
        }
        return some;
    }
};

struct Output {
    ref::Tensor<float> values;
    int64_t cotangents = 1;
};
using Outputs = std::vector<Output>;

struct Operation {
    std::string name;
    std::function<Outputs(Backend&, const Part&)> run;
    bool of_library = false;  // where there is one
};

const Shape kMap{kSamples, 23, 19, 40};  // several chunks of work for each of three threads
const GroupNormParams kNorm{8, 1e-5f, {}, {}};

// As this backend stores maps.
Maps maps_of(const Backend& backend) {
    return Maps(backend.map_type());
}

ref::Tensor<float> samples(uint64_t seed, const Shape& shape = kMap) {
    return random_tensor(shape, Fill::Normal, seed);
}
ref::Tensor<float> rows(uint64_t seed, const Shape& shape = kMap) {
    return random_tensor(shape.with_n(kCotangents * kSamples), Fill::Normal, seed);
}
DeviceTensor channels(Backend& backend, uint64_t seed) {
    return DeviceTensor(backend, random_values(kMap.c, Fill::Normal, seed));
}
DeviceTensor reduced(Backend& backend, const Shape& x) {
    return DeviceTensor(backend, Shape{x.n, 1, 1, x.c});
}

Operation convolution(const std::string& name, const Shape& x, const ConvSpec& spec) {
    return {"convolution " + name,
            [=](Backend& backend, const Part& part) -> Outputs {
                const int64_t fan_in = spec.in_channels / spec.groups * spec.kernel_h * spec.kernel_w;
                const auto weights = random_values(spec.out_channels * fan_in, Fill::Normal, 1);
                const auto bias = random_values(spec.out_channels, Fill::Normal, 2);
                const auto prepared = backend.make_convolution(spec, weights, bias);
                const Maps maps = maps_of(backend);
                const DeviceTensor in = maps.put(backend, part.samples(samples(3, x)));
                const DeviceTensor out = maps.output(backend, spec.output_shape(in.view().shape));
                prepared->forward(in, out, Activation::Relu);
                const DeviceTensor dy = maps.put(backend, part.rows(rows(4, spec.output_shape(x))));
                const DeviceTensor dx = maps.output(backend, x.with_n(kCotangents * part.count));
                prepared->backward_data(dy, dx);
                return {{out.download(), 1}, {dx.download(), kCotangents}};
            },
            spec.groups == 1};
}

Outputs run_elementwise(Backend& backend, const Part& part) {
    const Maps maps = maps_of(backend);
    const DeviceTensor a = maps.put(backend, part.samples(samples(1))),
                       b = maps.put(backend, part.samples(samples(2)));
    const DeviceTensor scale = channels(backend, 3), shift = channels(backend, 4);
    Outputs outputs;
    const auto keep = [&](const std::function<void(View)>& operation) {
        const DeviceTensor out = maps.output(backend, a.view().shape);
        operation(out);
        outputs.push_back({out.download()});
    };
    keep([&](View y) { backend.channel_affine(a, scale, shift, Activation::Relu, y); });
    keep([&](View y) { backend.activate(a, Activation::Relu6, y); });
    keep([&](View y) { backend.add(a, b, Activation::Relu, y); });
    const DeviceTensor image(backend, part.samples(samples(1))), g(backend, part.samples(samples(2)));
    backend.sign_step(image, g, scale, image);
    outputs.push_back({image.download()});
    return outputs;
}

Outputs run_pointwise_backward(Backend& backend, const Part& part) {
    const Maps maps = maps_of(backend);
    const DeviceTensor a = maps.put(backend, part.rows(rows(1))), b = maps.put(backend, part.rows(rows(2)));
    const DeviceTensor y = maps.put(backend, part.samples(samples(3))),
                       addend = maps.put(backend, part.rows(rows(4)));
    const DeviceTensor scale = channels(backend, 5), dx = maps.output(backend, a.view().shape);
    const DeviceTensor sum = reduced(backend, a.view().shape), mean = reduced(backend, a.view().shape);
    const View terms[] = {a, b};
    const TapSink sinks[] = {{Reduction::Sum, sum}, {Reduction::Mean, mean}};
    backend.pointwise_backward({terms, Activation::Relu, y, scale, addend, dx, sinks});
    return {{dx.download(), kCotangents}, {sum.download(), kCotangents}, {mean.download(), kCotangents}};
}

Outputs run_group_norm(Backend& backend, const Part& part) {
    const Maps maps = maps_of(backend);
    const DeviceTensor x = maps.put(backend, part.samples(samples(1))),
                       b = maps.put(backend, part.samples(samples(2)));
    const DeviceTensor gamma = channels(backend, 3), beta = channels(backend, 4);
    GroupNormParams params = kNorm;
    params.gamma = gamma;
    params.beta = beta;
    const Shape shape = x.view().shape;
    const DeviceTensor y = maps.output(backend, shape), sum = maps.output(backend, shape);
    const DeviceTensor stats(backend, Shape{shape.n, 1, params.groups, 2}),
        stats2(backend, stats.view().shape);
    backend.group_norm_stats(x, params, stats);
    backend.group_norm(x, stats, params, Activation::Relu, y);
    backend.add_with_stats(x, b, sum, params, stats2);

    const DeviceTensor dy = maps.put(backend, part.rows(rows(5))), dx = maps.output(backend, dy.view().shape);
    const DeviceTensor tap = reduced(backend, dy.view().shape);
    const View terms[] = {dy};
    const TapSink sinks[] = {{Reduction::Mean, tap}};
    backend.group_norm_backward({terms, x, stats, Activation::Relu, {}, dx, sinks}, params);
    return {{stats.download()},
            {y.download()},
            {sum.download()},
            {stats2.download()},
            {dx.download(), kCotangents},
            {tap.download(), kCotangents}};
}

Outputs run_pooling(Backend& backend, const Part& part) {
    const Maps maps = maps_of(backend);
    const DeviceTensor x = maps.put(backend, part.samples(samples(1)));
    const PoolSpec spec{3, 2, 1, true};
    const Shape shape = spec.output_shape(x.view().shape), all = spec.output_shape(kMap);
    const DeviceTensor y = maps.output(backend, shape), winner(backend, shape, DType::U8);
    backend.max_pool(x, spec, y, winner);
    const DeviceTensor dy = maps.put(backend, part.rows(rows(2, all)));
    const DeviceTensor dx = maps.output(backend, kMap.with_n(kCotangents * part.count));
    backend.max_pool_backward(dy, winner, spec, dx);
    const DeviceTensor average = reduced(backend, x.view().shape),
                       spread = maps.output(backend, x.view().shape);
    backend.average_pool(x, kMap.h, kMap.w, average);
    backend.average_pool_backward(average, kMap.h, kMap.w, spread);
    return {{y.download()},
            {ref::cast<float>(winner.download_u8())},
            {dx.download(), kCotangents},
            {average.download()},
            {spread.download()}};
}

Outputs run_reductions(Backend& backend, const Part& part) {
    const Maps maps = maps_of(backend);
    const DeviceTensor x = maps.put(backend, part.samples(samples(1)));
    const DeviceTensor sum = reduced(backend, x.view().shape), share = reduced(backend, x.view().shape);
    const TapSink sinks[] = {{Reduction::Sum, sum}, {Reduction::NonzeroShare, share}};
    backend.reduce(x, sinks);
    const Shape wide{x.view().shape.n, 12, 10, 80};
    const DeviceTensor padded = maps.output(backend, wide), back = maps.output(backend, x.view().shape);
    backend.pad_subsample(x, 2, padded);
    backend.pad_subsample_backward(padded, 2, back);
    return {{sum.download()}, {share.download()}, {padded.download()}, {back.download()}};
}

Outputs run_logits(Backend& backend, const Part& part) {
    const DeviceTensor z(backend, part.samples(samples(1, {kSamples, 1, 1, 1000})));
    Outputs outputs;
    for (const Seed seed : {Seed::UniformCrossEntropy, Seed::MaxLogit, Seed::PredictedCrossEntropy}) {
        const DeviceTensor dz(backend, z.view().shape);
        backend.seed_logits(seed, 2.0f, 0, z, dz);
        outputs.push_back({dz.download()});
    }
    return outputs;
}

const std::vector<Operation>& operations() {
    static const std::vector<Operation> list = {
        convolution("7x7/2", {kSamples, 40, 40, 3}, {3, 16, 7, 7, 2, 3, 1}),
        convolution("3x3", {kSamples, 20, 18, 32}, {32, 32, 3, 3, 1, 1, 1}),
        convolution("3x3, deep", {kSamples, 4, 4, 512}, {512, 512, 3, 3, 1, 1, 1}),
        convolution("3x3/2, odd channels", {kSamples, 13, 11, 19}, {19, 23, 3, 3, 2, 1, 1}),
        convolution("1x1", {kSamples, 14, 15, 64}, {64, 128, 1, 1, 1, 0, 1}),
        convolution("1x1/2", {kSamples, 15, 14, 48}, {48, 64, 1, 1, 2, 0, 1}),
        convolution("linear", {kSamples, 1, 1, 1024}, {1024, 100, 1, 1, 1, 0, 1}),
        convolution("depthwise", {kSamples, 15, 14, 48}, {48, 48, 3, 3, 1, 1, 48}),
        {"elementwise", run_elementwise},
        {"pointwise_backward", run_pointwise_backward},
        {"group norm", run_group_norm},
        {"pooling", run_pooling},
        {"reductions and shortcut", run_reductions},
        {"seeds", run_logits}};
    return list;
}

// `got` was run on `part`; `whole` on all samples.
void expect_part(const Outputs& got, const Outputs& whole, const Part& part, double tolerance = 0) {
    ASSERT_EQ(got.size(), whole.size());
    for (size_t i = 0; i < whole.size(); ++i) {
        const std::string name = "output " + std::to_string(i);
        const auto want = part.take(whole[i].values, whole[i].cotangents);
        if (tolerance == 0)
            expect_same_bits(name, got[i].values.values, want.values);
        else
            expect_close(name, got[i].values.values, want.values, tolerance);
    }
}

TEST(Invariance, ThreadsDoNotChangeABit) {
    for (const BackendUnderTest& b : all_backends()) {
        const auto two = b.make(2), three = b.make(3);
        for (const Operation& operation : operations()) {
            SCOPED_TRACE(b.name + ", " + operation.name);
            const Outputs one = operation.run(*b.backend, Part{});
            expect_part(operation.run(*two, Part{}), one, Part{});
            expect_part(operation.run(*three, Part{}), one, Part{});
        }
    }
}

TEST(Invariance, ASampleIsTheSameAloneAndInABatch) {
    const std::pair<int, Part> runs[] = {{1, {0, 1}}, {1, {1, 1}}, {1, {1, 2}}, {3, {0, 1}}, {3, {2, 1}}};
    for (const BackendUnderTest& b : all_backends()) {
        const auto three = b.make(3);
        // Sums of a few thousand products; neighbours in bfloat16.
        const double of_another_order = b.backend->map_type() == DType::F32 ? 1e-5 : 0x1p-7;
        for (const Operation& operation : operations()) {
            const Outputs whole = operation.run(*b.backend, Part{});
            for (const auto& [threads, part] : runs) {
                SCOPED_TRACE(b.name + ", " + operation.name + ", threads " + std::to_string(threads) +
                             ", from sample " + std::to_string(part.first));
                expect_part(operation.run(threads == 1 ? *b.backend : *three, part), whole, part,
                            b.one_order || !operation.of_library ? 0 : of_another_order);
            }
        }
    }
}

// ResNet-50's layer4.0.conv2, and shapes near it: libraries cut them by channels where threads outnumber
// rows.
TEST(Invariance, StridedConvolutionsOfSmallMaps) {
    for (const auto& [side, channels] :
         {std::pair<int64_t, int64_t>{14, 512}, {10, 512}, {7, 512}, {8, 256}}) {
        const ConvSpec spec{channels, channels, 3, 3, 2, 1, 1};
        const Shape x{5, side, side, channels}, y = spec.output_shape(x);
        const auto weights = random_values(weight_shape(spec).size(), Fill::Normal, 1);
        const auto values = random_values(x.size(), Fill::Normal, 2);
        std::vector<float> want;
        for (const int threads : {1, 12, 32}) {
            const auto backend = make_cpu_backend({.threads = threads});
            const auto convolution = backend->make_convolution(spec, weights, {});
            for (const int64_t n : {5, 1, 3}) {
                const Shape part = x.with_n(n);
                const Buffer in = backend->upload(std::span(values).first(static_cast<size_t>(part.size())));
                const Buffer out = backend->allocate(static_cast<size_t>(y.with_n(n).size()) * sizeof(float));
                convolution->forward(in.view(part), out.view(y.with_n(n)), Activation::None);
                std::vector<float> got(static_cast<size_t>(y.with_n(n).size()));
                backend->download(out.view(y.with_n(n)), got);
                if (want.empty()) want = got;
                EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin()))
                    << channels << " channels at " << side << ", " << threads << " threads, " << n
                    << " images";
            }
        }
    }
}

}  // namespace
}  // namespace gs::test
