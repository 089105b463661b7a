// Memory of a backend, and what it does when a caller breaks a contract.
#include <gtest/gtest.h>

#include "tests/support/maps.h"

namespace gs::test {
namespace {

TEST(Memory, IsAlignedAndOfTheAskedSize) {
    on_every_backend([](Backend& backend) {
        for (const size_t bytes : {1, 63, 64, 65, 4096, 1 << 20}) {
            const Buffer buffer = backend.allocate(bytes);
            EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
            EXPECT_GE(buffer.bytes(), bytes);
        }
    });
}

TEST(Memory, UploadAndDownloadKeepEveryBit) {
    auto values = random_values(1037, Fill::Normal, 1);
    values[3] = -0.0f;
    values[4] = std::numeric_limits<float>::quiet_NaN();
    values[5] = std::numeric_limits<float>::denorm_min();
    on_every_backend([&](Backend& backend) {
        const Buffer buffer = backend.upload(values);
        std::vector<float> back(values.size());
        backend.download(buffer.view({1, 1, 1, 1037}), back);
        expect_same_bits("all", back, values);
        std::vector<float> part(10);
        backend.download(buffer.view({1, 1, 1, 10}, 64 * sizeof(float)), part);
        expect_same_bits("part", part, {values.begin() + 64, values.begin() + 74});
    });
}

TEST(Memory, FillAndCopyWriteTheWholeViewAndNoMore) {
    on_every_map_type([](const Maps& maps) {
        for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{3, 5, 7, 11}, Shape{2, 64, 64, 16}}) {
            const auto x = maps.random(shape, Fill::Normal, 1);
            maps.on_every_backend([&](Backend& backend) {
                const DeviceTensor in = maps.put(backend, x), out = maps.output(backend, shape);
                backend.copy(in, out);
                expect_same_bits("copy", out.download().values, x.values);
                backend.fill(out, -2.5f);
                expect_same_bits("fill", out.download().values, std::vector<float>(x.values.size(), -2.5f));
                backend.fill(out, 0.0f);
                expect_same_bits("zeros", out.download().values, std::vector<float>(x.values.size(), 0.0f));
            });
        }
    });
}

TEST(Memory, DescriptionNamesTheDevice) {
    on_every_backend([](Backend& backend) {
        EXPECT_NE(backend.description().find(':'), std::string::npos) << backend.description();
        EXPECT_EQ(backend.description().find('\n'), std::string::npos);
    });
}

#ifndef __SANITIZE_ADDRESS__  // its allocator ends the program instead
TEST(Memory, RefusesWhatItCannotHave) {
    on_every_backend([](Backend& backend) {
        try {
            backend.allocate(size_t{1} << 60);
            FAIL() << "an exabyte was granted";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Device);
            EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
        }
    });
}
#endif

// Every operation checks its shapes: a mismatch is refused, nothing is written.
TEST(Contracts, MismatchedShapesAreRefused) {
    on_every_backend([](Backend& backend) {
        const DeviceTensor x(backend, random_tensor({2, 4, 4, 8}, Fill::Normal, 1));
        const DeviceTensor same(backend, Shape{2, 4, 4, 8}), other(backend, Shape{2, 4, 4, 9});
        const DeviceTensor c8(backend, std::vector<float>(8, 1.0f)), c9(backend, std::vector<float>(9, 1.0f));
        const DeviceTensor odd_rows(backend, Shape{3, 4, 4, 8}), rows(backend, Shape{2, 1, 1, 8});
        const DeviceTensor bytes(backend, Shape{2, 4, 4, 8}, DType::U8);
        const auto none = Activation::None;
        EXPECT_THROW(backend.activate(x, none, other), Error);
        EXPECT_THROW(backend.activate(x, none, bytes), Error);
        EXPECT_THROW(backend.channel_affine(x, c9, c8, none, same), Error);
        EXPECT_THROW(backend.channel_affine(x, c8, c9, none, same), Error);
        EXPECT_THROW(backend.channel_affine(x, c8, c8, none, other), Error);
        EXPECT_THROW(backend.add(x, other, none, same), Error);
        EXPECT_THROW(backend.add(x, same, none, other), Error);
        EXPECT_THROW(backend.copy(x, other), Error);
        EXPECT_THROW(backend.sign_step(x, other, c8, same), Error);
        EXPECT_THROW(backend.sign_step(x, same, c9, same), Error);
        EXPECT_THROW(backend.average_pool(x, 5, 4, rows), Error);
        EXPECT_THROW(backend.average_pool(x, 4, 4, same), Error);
        EXPECT_THROW(backend.max_pool(x, {3, 2, 1, false}, same, View{}), Error);
        EXPECT_THROW(backend.max_pool_backward(x, bytes, {3, 2, 1, false}, same), Error);
        EXPECT_THROW(backend.pad_subsample(x, 2, same), Error);
        EXPECT_THROW(backend.seed_logits(Seed::MaxLogit, 1, 0, rows, c8), Error);
        const TapSink wrong_sink[] = {{Reduction::Sum, same}};
        EXPECT_THROW(backend.reduce(x, wrong_sink), Error);
        std::vector<float> few(3);
        EXPECT_THROW(backend.download(x, few), Error);
        EXPECT_THROW(backend.upload(few, x), Error);
    });
}

TEST(Contracts, MapsOfTwoTypesAreRefused) {
    Maps(DType::BF16).on_every_backend([](Backend& backend) {
        const Shape shape{2, 4, 4, 8};
        const DeviceTensor map(backend, random_tensor(shape, Fill::Normal, 1), DType::BF16),
            out(backend, shape, DType::BF16), floats(backend, shape),
            c8(backend, std::vector<float>(8, 1.0f)), stats(backend, Shape{2, 1, 4, 2});
        const auto none = Activation::None;
        const GroupNormParams norm{4, 1e-5f, c8, c8};
        EXPECT_THROW(backend.activate(map, none, floats), Error);
        EXPECT_THROW(backend.channel_affine(floats, c8, c8, none, map), Error);
        EXPECT_THROW(backend.add(map, floats, none, out), Error);
        EXPECT_THROW(backend.copy(map, floats), Error);
        EXPECT_THROW(backend.add_with_stats(map, floats, out, norm, stats), Error);
        EXPECT_THROW(backend.pad_subsample(map, 1, floats), Error);
        EXPECT_THROW(backend.max_pool(map, {3, 1, 1, false}, floats, View{}), Error);
        const View terms[] = {map.view(), floats.view()};
        EXPECT_THROW(backend.pointwise_backward({terms, none, {}, {}, {}, out, {}}), Error);
        EXPECT_THROW(backend.pointwise_backward({{terms, 1}, none, {}, {}, {}, floats, {}}), Error);
        std::vector<float> values(static_cast<size_t>(shape.size()));
        EXPECT_THROW(backend.download(map, values), Error);
    });
}

TEST(Contracts, MismatchedGradientsAndNormsAreRefused) {
    on_every_backend([](Backend& backend) {
        const DeviceTensor x(backend, random_tensor({2, 4, 4, 8}, Fill::Normal, 1));
        const DeviceTensor same(backend, Shape{2, 4, 4, 8}), other(backend, Shape{2, 4, 4, 9});
        const DeviceTensor odd_rows(backend, Shape{3, 4, 4, 8}), odd_dx(backend, Shape{3, 4, 4, 8});
        const DeviceTensor c8(backend, std::vector<float>(8, 1.0f)), c9(backend, std::vector<float>(9, 1.0f));
        const DeviceTensor stats(backend, Shape{2, 1, 4, 2}), wrong_stats(backend, Shape{2, 1, 3, 2});
        const GroupNormParams norm{4, 1e-5f, c8, c8}, odd_groups{3, 1e-5f, c8, c8},
            odd_gamma{4, 1e-5f, c9, c8};
        EXPECT_THROW(backend.group_norm_stats(x, norm, wrong_stats), Error);
        EXPECT_THROW(backend.group_norm_stats(x, odd_groups, wrong_stats), Error);
        EXPECT_THROW(backend.group_norm(x, wrong_stats, norm, Activation::None, same), Error);
        EXPECT_THROW(backend.group_norm(x, stats, odd_gamma, Activation::None, same), Error);
        EXPECT_THROW(backend.add_with_stats(x, x, other, norm, stats), Error);

        const View terms[] = {x.view()}, mixed[] = {x.view(), other.view()}, odd[] = {odd_rows.view()};
        const auto relu = Activation::Relu;
        EXPECT_THROW(backend.pointwise_backward({mixed, Activation::None, {}, {}, {}, same, {}}), Error);
        EXPECT_THROW(backend.pointwise_backward({terms, relu, {}, {}, {}, same, {}}), Error) << "no y";
        EXPECT_THROW(backend.pointwise_backward({terms, relu, x, c9, {}, same, {}}), Error);
        EXPECT_THROW(backend.pointwise_backward({odd, relu, x, {}, {}, odd_dx, {}}), Error)
            << "3 rows of 2 samples";
        EXPECT_THROW(backend.pointwise_backward({{}, relu, x, {}, {}, same, {}}), Error) << "no terms";
        EXPECT_THROW(backend.group_norm_backward({odd, x, stats, relu, {}, odd_dx, {}}, norm), Error);
        EXPECT_THROW(backend.group_norm_backward({terms, x, wrong_stats, relu, {}, same, {}}, norm), Error);
    });
}

TEST(Contracts, MismatchedConvolutionsAreRefused) {
    const std::vector<float> weights(4 * 8 * 9, 1.0f), bias(4, 1.0f), few(3, 1.0f);
    const ConvSpec spec{8, 4, 3, 3, 1, 1, 1};
    on_every_backend([&](Backend& backend) {
        EXPECT_THROW(backend.make_convolution(spec, few, bias), Error);
        EXPECT_THROW(backend.make_convolution(spec, weights, few), Error);
        EXPECT_THROW(backend.make_convolution({8, 4, 3, 3, 1, 1, 2}, weights, bias), Error)
            << "groups of four";
        const auto convolution = backend.make_convolution(spec, weights, bias);
        const DeviceTensor x(backend, Shape{1, 5, 5, 8}), y(backend, Shape{1, 5, 5, 4}),
            small(backend, Shape{1, 4, 5, 4});
        EXPECT_THROW(convolution->forward(x, small, Activation::None), Error);
        EXPECT_THROW(convolution->forward(y, y, Activation::None), Error);
        EXPECT_THROW(convolution->backward_data(small, x), Error);
        EXPECT_THROW(convolution->backward_data(x, y), Error);
    });
}

}  // namespace
}  // namespace gs::test
