// What only the CPU backend promises: one result on every instruction set, nothing allocated in the steady
// state, weights that shapes share, and an error where memory ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "cpu/cpu_backend.h"
#include "cpu/onednn_primitives.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"

#if defined(__SANITIZE_ADDRESS__)
// A request that cannot be met is an error of ours to report, not one for the sanitizer to stop at.
extern "C" const char* __asan_default_options() {
    return "allocator_may_return_null=1";
}
#endif

namespace gs::test {
namespace {

using Outputs = std::vector<std::vector<float>>;

// Every sweep that is compiled per instruction set, at channels that fill registers and at some that do not.
Outputs run_sweeps(Backend& backend, int64_t channels) {
    const Shape map{2, 9, 7, channels}, rows = map.with_n(4);
    const DeviceTensor x(backend, random_tensor(map, Fill::Normal, 1));
    const DeviceTensor other(backend, random_tensor(map, Fill::Normal, 2));
    const DeviceTensor dy(backend, random_tensor(rows, Fill::Normal, 3));
    const DeviceTensor scale(backend, random_values(channels, Fill::Normal, 4));
    const DeviceTensor shift(backend, random_values(channels, Fill::Normal, 5));
    const GroupNormParams norm{channels / 3, 1e-5f, scale, shift};
    const DeviceTensor stats(backend, Shape{2, 1, norm.groups, 2}), y(backend, map), dx(backend, rows),
        sum(backend, Shape{4, 1, 1, channels}), share(backend, Shape{4, 1, 1, channels});
    const View term = dy;
    const TapSink sinks[] = {{Reduction::Mean, sum}, {Reduction::NonzeroShare, share}};
    Outputs outputs;
    const auto keep = [&](const auto&... tensors) { (outputs.push_back(tensors.download().values), ...); };
    backend.channel_affine(x, scale, shift, Activation::Relu6, y);
    keep(y);
    backend.add(x, other, Activation::Relu, y);
    keep(y);
    backend.sign_step(x, other, scale, y);
    keep(y);
    backend.add_with_stats(x, other, y, norm, stats);
    keep(y, stats);
    backend.group_norm(x, stats, norm, Activation::Relu, y);
    keep(y);
    backend.group_norm_backward({{&term, 1}, x, stats, Activation::Relu, {}, dx, sinks}, norm);
    keep(dx, sum, share);
    backend.pointwise_backward({{&term, 1}, Activation::Relu, y, scale, {}, dx, sinks});
    keep(dx, sum, share);
    const PoolSpec pool;
    const Shape pooled = pool.output_shape(map);
    const DeviceTensor maxima(backend, pooled), winner(backend, pooled, DType::U8), back(backend, map);
    backend.max_pool(x, pool, maxima, winner);
    backend.max_pool_backward(maxima, winner, pool, back);
    keep(maxima, back);
    return outputs;
}

TEST(CpuBackend, EveryInstructionSetGivesTheSameBits) {
    for (const int64_t channels : {int64_t{48}, int64_t{21}, int64_t{3}}) {
        Outputs first;
        for (const char* isa : {"baseline", "avx2", "avx512"}) {
            const cpu::Kernels* kernels = cpu::find_kernels(isa);
            if (!kernels) continue;
            cpu::CpuBackend backend(std::make_shared<cpu::Context>(1, *kernels), false, false);
            const Outputs outputs = run_sweeps(backend, channels);
            if (first.empty()) first = outputs;
            for (size_t i = 0; i < outputs.size(); ++i) {
                expect_same_bits(std::string(isa) + ", output " + std::to_string(i), outputs[i], first[i]);
            }
        }
    }
    EXPECT_EQ(cpu::find_kernels("altivec"), nullptr);
}

TEST(CpuBackend, DescriptionNamesWhatRuns) {
    EXPECT_THAT(make_cpu_backend({3, false, false})->description(),
                testing::MatchesRegex("cpu: own convolutions, .*, 3 threads"));
    EXPECT_THAT(make_cpu_backend({1, false, true})->description(), testing::HasSubstr("and Winograd"));
}

TEST(CpuBackend, OutOfMemoryNamesTheSize) {
    const auto backend = make_cpu_backend();
    try {
        backend->allocate(size_t{1} << 60);
        FAIL() << "a buffer of 2^60 bytes";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Device);
        EXPECT_THAT(error.what(), testing::HasSubstr("1152921504606846976 bytes"));
    }
}

#if defined(GRADSCORE_HAS_ONEDNN)
// What could not be filled, for want of memory say, is not taken for the weights at the next call.
TEST(WeightFormats, AreKeptOnceTheyAreFilled) {
    using namespace cpu::onednn;
    const auto weights = random_values(8 * 8 * 9, Fill::Normal, 1);
    WeightFormats formats({8, 8, 3, 3}, Tag::oihw, weights);
    const memory::desc out_of_reach({8, 8, 1, 1}, kF32, Tag::oihw);
    for (int call = 0; call < 2; ++call) EXPECT_THROW(formats.get(out_of_reach), dnnl::error) << call;
    expect_same_bits("weights", formats.plain(), weights);
}
#endif

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && __GLIBC_PREREQ(2, 33)
size_t bytes_in_use() {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

class Memory : public testing::TestWithParam<CpuOptions> {};

// A layer of each kind of convolution at two batch sizes: after one round all memory stands.
TEST_P(Memory, SteadyStateAllocatesNothing) {
    const auto backend = make_cpu_backend(GetParam());
    const ConvSpec specs[] = {
        {64, 64, 3, 3, 1, 1, 1}, {64, 64, 3, 3, 2, 1, 1}, {64, 64, 1, 1, 1, 0, 1}, {64, 64, 3, 3, 1, 1, 64}};
    std::vector<std::unique_ptr<Convolution>> layers;
    for (const ConvSpec& spec : specs) {
        layers.push_back(backend->make_convolution(
            spec, random_values(64 * 64 / spec.groups * spec.kernel_h * spec.kernel_w, Fill::Normal, 1), {}));
    }
    const Shape most{3, 12, 12, 64};
    const DeviceTensor x(*backend, random_tensor(most, Fill::Normal, 1)), y(*backend, most);
    const auto round = [&] {
        for (const int64_t n : {3, 2}) {
            for (size_t i = 0; i < layers.size(); ++i) {
                const View in = x.view().samples(0, n);
                View out = y.view().samples(0, n);
                out.shape = specs[i].output_shape(in.shape);
                layers[i]->forward(in, out, Activation::Relu);
                layers[i]->backward_data(out, in);
            }
        }
        Outputs unused = run_sweeps(*backend, 48);
    };
    round();
    round();
    const auto before = static_cast<double>(bytes_in_use());
    round();
    constexpr double kNoise = 4096;  // small freed blocks that malloc keeps at hand; a tensor here has 110 KB
    EXPECT_NEAR(static_cast<double>(bytes_in_use()), before, kNoise);
}

// Weights are kept in one copy for each format, not for each shape.
TEST_P(Memory, ShapesShareWeights) {
    const auto backend = make_cpu_backend(GetParam());
    constexpr int64_t kChannels = 512;
    const auto layer = backend->make_convolution({kChannels, kChannels, 1, 1, 1, 0, 1},
                                                 random_values(kChannels * kChannels, Fill::Normal, 1), {});
    const DeviceTensor x(*backend, random_tensor({4, 8, 8, kChannels}, Fill::Normal, 1));
    const DeviceTensor y(*backend, x.view().shape);
    layer->forward(x, y, Activation::None);
    const size_t before = bytes_in_use();
    for (const int64_t n : {1, 2, 3}) {
        layer->forward(x.view().samples(0, n), y.view().samples(0, n), Activation::None);
    }
    EXPECT_LT(bytes_in_use() - before, sizeof(float) * kChannels * kChannels);
}

#if defined(GRADSCORE_HAS_ONEDNN)
// What is prepared for a shape goes when others have come: without end, a service that is handed images of
// all sizes would fill the memory. oneDNN has a store of its own, which is bounded.
TEST(PreparedConvolutions, OfManyShapesDoNotPileUp) {
    const int own = dnnl::get_primitive_cache_capacity();
    dnnl::set_primitive_cache_capacity(0);
    const auto backend = make_cpu_backend({1, true, false});
    const ConvSpec spec{16, 16, 3, 3, 1, 1, 1};
    const auto layer =
        backend->make_convolution(spec, random_values(weight_shape(spec).size(), Fill::Normal, 1), {});
    const DeviceTensor x(*backend, random_tensor({1, 8, 400, 16}, Fill::Normal, 1)),
        y(*backend, x.view().shape);
    const auto of_width = [&](int64_t w) {
        View in = x, out = y;
        in.shape.w = out.shape.w = w;
        layer->forward(in, out, Activation::None);
        layer->backward_data(out, in);
    };
    for (int64_t w = 3; w < 100; ++w) of_width(w);
    const size_t before = bytes_in_use();
    for (int64_t w = 100; w < 400; ++w) of_width(w);
    const size_t after = bytes_in_use();
    dnnl::set_primitive_cache_capacity(own);
    EXPECT_LT(after, before + (size_t{16} << 20));  // 0.2 MiB each
}
#endif

INSTANTIATE_TEST_SUITE_P(Kinds, Memory,
                         testing::Values(CpuOptions{1, false, false}, CpuOptions{1, false, true},
                                         CpuOptions{1, true, false}, CpuOptions{1, true, true}));
#endif

}  // namespace
}  // namespace gs::test
