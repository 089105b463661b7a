// MOS and its grouped head.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "nets/net.h"
#include "passes/executor.h"
#include "scores/group_head.h"
#include "scores/score.h"
#include "tests/scores/reference_scores.h"
#include "tests/support/backends.h"
#include "tests/support/failure.h"
#include "tests/support/golden_file.h"
#include "tests/support/golden_net.h"
#include "tests/support/random.h"
#include "tests/support/scratch_file.h"

namespace gs::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<Score> made(const std::string& method, int64_t outputs) {
    static const Preprocess preprocess{};
    static std::vector<std::unique_ptr<Net>> nets;  // outlive their scores
    nets.push_back(std::make_unique<Net>());
    nets.back()->head.classes = outputs;
    return make_score(parse_methods(method).at(0), {*nets.back(), preprocess});
}

std::vector<double> computed(const Score& score, std::vector<float> values, int64_t columns) {
    const auto n = static_cast<int64_t>(values.size()) / columns;
    Evidence evidence;
    evidence.samples = n;
    evidence.logits = {n, columns, std::move(values)};
    std::vector<double> out(static_cast<size_t>(n));
    score.compute(evidence, out);
    return out;
}

std::string joined(const std::vector<int64_t>& sizes) {
    std::string text;
    for (const int64_t size : sizes) text += (text.empty() ? "" : "+") + std::to_string(size);
    return text;
}

// Softmax of each slice, as written in the paper.
struct Reference {
    double score = -1;  // max_g -p_0
    int64_t predicted = 0;
};
Reference reference(std::span<const float> z, const std::vector<int64_t>& sizes) {
    Reference r;
    Real best = -1;
    int64_t first = 0;
    for (const int64_t size : sizes) {
        const std::vector<double> slice(z.begin(), z.begin() + size + 1);
        const std::vector<Real> p = softmax(slice, 1);
        r.score = std::max(r.score, static_cast<double>(-p[0]));
        for (int64_t i = 0; i < size; ++i)
            if (p[static_cast<size_t>(i + 1)] > best) {
                best = p[static_cast<size_t>(i + 1)];
                r.predicted = first + i;
            }
        first += size;
        z = z.subspan(static_cast<size_t>(size + 1));
    }
    return r;
}

TEST(GroupedHead, ScoresAndPredictsByDefinition) {
    for (const auto& sizes : {std::vector<int64_t>{1}, {1, 1}, {5, 8, 4}, {31, 2, 9}}) {
        const GroupHead head{sizes};
        SplitMix64 random(11);
        std::vector<float> z;
        for (int64_t i = 0; i < 50 * head.logits(); ++i)
            z.push_back(static_cast<float>(12 * (2 * random.uniform() - 1)));
        const auto score = made("mos:groups=" + joined(sizes), head.logits());
        const auto logs = made("mos:form=log:groups=" + joined(sizes), head.logits());
        const auto got = computed(*score, z, head.logits());
        const auto got_log = computed(*logs, z, head.logits());
        for (size_t n = 0; n < got.size(); ++n) {
            const auto columns = static_cast<size_t>(head.logits());
            const auto row = std::span<const float>(z).subspan(n * columns, columns);
            const Reference want = reference(row, sizes);
            EXPECT_NEAR(got[n], want.score, 1e-15);
            EXPECT_NEAR(got_log[n], -std::log(-want.score), 1e-13 * std::max(1.0, got_log[n]));
            EXPECT_EQ(head.predict(row), want.predicted);
        }
    }
}

TEST(GroupedHead, NoTiesWhereSoftmaxSaturates) {
    const auto score = made("mos:groups=2", 3), logs = made("mos:groups=2:form=log", 3);
    const std::vector<float> sure{0, 700, 0, 0, 800, 0}, unsure{50, 0, 0, 60, 0, 0};
    for (const auto& z : {sure, unsure}) {
        const auto values = computed(*logs, z, 3);
        EXPECT_NE(values[0], values[1]);
        for (const double v : computed(*score, z, 3)) EXPECT_TRUE(v >= -1 && v <= 0) << v;
    }
    EXPECT_NEAR(computed(*logs, unsure, 3)[0] / (2 * std::exp(-50.0)), 1, 1e-12)
        << "log p_0 near 0 keeps its digits";
    EXPECT_TRUE(std::isnan(computed(*score, {0, NAN, 0}, 3)[0]));
}

GroupHead parsed(const std::string& bytes) {
    return parse_group_file(std::as_bytes(std::span(bytes)), "groups.file");
}

std::string npy(const std::string& descr, const std::string& shape, const std::string& data) {
    const std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
    std::string file = "\x93NUMPY\x01";
    file += '\0';
    file += static_cast<char>(header.size());
    file += '\0';
    return file + header + data;
}

template <class T>
std::string raw(const std::vector<T>& values) {
    return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

TEST(GroupFiles, EveryFormIsRead) {
    const std::vector<int64_t> sizes{398, 521, 9, 7, 52, 8, 3, 2};
    EXPECT_EQ(read_group_head("398+521+9+7+52+8+3+2").sizes, sizes);
    for (const char* text : {"398 521 9 7 52 8 3 2", "398\n521\r\n9, 7,52\t8\n3\n2\n\n"})
        EXPECT_EQ(parsed(text).sizes, sizes);
    EXPECT_EQ(parsed(npy("<i8", "(8,)", raw(sizes))).sizes, sizes);
    EXPECT_EQ(parsed(npy("<i4", "(2,)", raw<int32_t>({3, 4}))).sizes, (std::vector<int64_t>{3, 4}));
    const std::string text = "5 8 4\n";
    const ScratchFile file({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, ".txt");
    const GroupHead head = read_group_head(file.path());
    EXPECT_THAT(head.sizes, ElementsAre(5, 8, 4));
    EXPECT_EQ(head.classes(), 17);
    EXPECT_EQ(head.logits(), 20);
}

TEST(GroupFiles, OthersAreRefused) {
    const auto refused = [](const std::string& bytes) {
        const std::string message = failure_of(ErrorKind::Data, [&] { parsed(bytes); });
        EXPECT_TRUE(message.starts_with("groups.file: ")) << message;
        return message;
    };
    EXPECT_THAT(refused(""), HasSubstr("no group"));
    EXPECT_THAT(refused("3 x 4"), HasSubstr("'x' is no whole number"));
    EXPECT_THAT(refused("3 4.5"), HasSubstr("'4.5'"));
    EXPECT_THAT(refused("3 0 4"), HasSubstr("a group of 0 classes"));
    EXPECT_THAT(refused("3 -2"), HasSubstr("a group of -2 classes"));
    EXPECT_THAT(refused("9999999 9999999"), HasSubstr("a group of 9999999 classes"));
    EXPECT_THAT(refused("99999999999999999999"), HasSubstr("no whole number"));
    EXPECT_THAT(refused(npy("<f8", "(1,)", raw<double>({3}))), HasSubstr("f8, not i8"));
    EXPECT_THAT(refused(npy("<i8", "(1, 2)", raw<int64_t>({3, 4}))), HasSubstr("one row"));
    const std::string good = npy("<i8", "(2,)", raw<int64_t>({3, 4}));
    for (size_t length = 6; length < good.size(); ++length) refused(good.substr(0, length));
    for (size_t at = 0; at < good.size(); ++at) {
        std::string changed = good;
        changed[at] = static_cast<char>(changed[at] ^ 0x81);
        failure_of(ErrorKind::Data, [&] { parsed(changed); });  // an error of one line, or groups
    }
}

TEST(GroupFiles, MethodsThatDoNotFitTheNetAreRefused) {
    EXPECT_THAT(failure_of(ErrorKind::Usage, [] { made("mos", 20); }), HasSubstr("groups=FILE.npy"));
    EXPECT_THAT(failure_of(ErrorKind::Usage, [] { made("mos:groups=5+8+4", 17); }),
                HasSubstr("3 groups of 17 classes need a head of 20 outputs, the net's has 17"));
    EXPECT_THAT(failure_of(ErrorKind::Data, [] { made("mos:groups=/nowhere/groups.npy", 20); }),
                HasSubstr("/nowhere/groups.npy"));
    EXPECT_THAT(failure_of(ErrorKind::Data, [] { made("mos:groups=5++0", 20); }), HasSubstr("groups=5++0"));
    EXPECT_EQ(made("mos:groups=5+8+4", 20)->options().at("groups"), "5+8+4");
}

TEST(GoldenMos, OfLogits) {
    GS_SKIP_WITHOUT_SHARED();
    const GoldenFile golden(*shared_dir() / "golden/logits.safetensors");
    const GroupHead head{golden.integers("mos/group_config")};
    const auto z = golden.floats("mos/logits");
    const auto got = computed(*made("mos:groups=" + joined(head.sizes), head.logits()), z, head.logits());
    const auto want = golden.doubles("score/mos");
    const auto group = golden.integers("mos/pred_group"), in_group = golden.integers("mos/pred_class");
    ASSERT_EQ(got.size(), want.size());
    for (size_t n = 0; n < got.size(); ++n) {
        EXPECT_NEAR(got[n], want[n], 1e-15) << n;  // both float64
        int64_t flat = in_group[n];
        for (int64_t g = 0; g < group[n]; ++g) flat += head.sizes[static_cast<size_t>(g)];
        const auto columns = static_cast<size_t>(head.logits());
        EXPECT_EQ(head.predict(std::span(z).subspan(n * columns, columns)), flat) << n;
    }
}

// The whole way: bit_small's body under a grouped head.
TEST(GoldenMos, OfANet) {
    GS_SKIP_WITHOUT_SHARED();
    const GoldenFile golden(*shared_dir() / "golden/mos_bit.safetensors");
    const GoldenFile body(*shared_dir() / "golden/bit_small.safetensors");
    WeightFile weights = body.weights();
    const auto head_weight = golden.floats("w/head.conv.weight"),
               head_bias = golden.floats("w/head.conv.bias");
    for (StoredTensor& t : weights.tensors) {
        if (t.name != "head.conv.weight" && t.name != "head.conv.bias") continue;
        t.shape = golden.shape("w/" + t.name);
        t.storage = std::as_bytes(std::span(t.name == "head.conv.bias" ? head_bias : head_weight));
    }
    const GroupHead head{golden.integers("group_config")};
    const auto want = golden.doubles("score/mos");
    const auto group = golden.integers("pred_group"), in_group = golden.integers("pred_class");
    const ref::Tensor<double> input = body.nhwc("input");
    const std::vector<float> pixels(input.values.begin(), input.values.end());
    on_every_backend_and_default([&](Backend& backend) {
        const Net net = build_net(backend, weights);
        const auto score =
            make_score(parse_methods("mos:groups=" + joined(head.sizes)).at(0), {net, net.preprocess});
        Executor executor(backend, net, score->request());
        const Evidence evidence = executor.run(pixels, input.shape.n, input.shape.h, input.shape.w);
        std::vector<double> got(want.size());
        score->compute(evidence, got);
        for (size_t n = 0; n < got.size(); ++n) {
            EXPECT_NEAR(got[n], want[n], 2e-5) << "float32 net; golden/README.md";
            int64_t flat = in_group[n];
            for (int64_t g = 0; g < group[n]; ++g) flat += head.sizes[static_cast<size_t>(g)];
            EXPECT_EQ(head.predict(evidence.logits.row(static_cast<int64_t>(n))), flat);
        }
    });
}

}  // namespace
}  // namespace gs::test
