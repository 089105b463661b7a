// cuDNN makes plans for a device that is only described: every convolution of the nets has one that its
// precision allows, on every architecture that releases are built for. Nothing runs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <set>

#include "core/files.h"
#include "cuda/cudnn/plans.h"
#include "cuda/plans/gemm_shape.h"
#include "layers/convolution.h"
#include "nets/net.h"

namespace gs::cuda {
namespace {

constexpr int64_t kBatch = 32;
constexpr size_t kPlans = 10;

struct DenseConvolution {
    ConvSpec spec;
    Shape x;
};

// Of a net at its usual size, each once.
std::vector<DenseConvolution> dense_convolutions(const Net& net) {
    const int64_t side = default_input_size(net.architecture);
    std::vector<Shape> values{{kBatch, side, side, 3}};
    std::set<std::string> seen;
    std::vector<DenseConvolution> found;
    for (const Node& node : net.nodes) {
        std::vector<Shape> inputs;
        for (const ValueId input : node.inputs) inputs.push_back(values[static_cast<size_t>(input)]);
        values.push_back(node.layer->output_shape(inputs));
        const auto* convolution = dynamic_cast<const Conv2d*>(node.layer.get());
        if (convolution == nullptr || convolution->spec().groups != 1) continue;
        const ConvProblem problem{.spec = convolution->spec(), .x = inputs[0]};
        if (seen.insert(to_string(problem)).second) found.push_back({problem.spec, problem.x});
    }
    return found;
}

const std::vector<DenseConvolution>& all_convolutions() {
    static const std::vector<DenseConvolution> all = [] {
        const auto backend = make_cpu_backend({.threads = 1});
        std::vector<DenseConvolution> found;
        std::set<std::string> seen;
        const std::vector<std::pair<std::string, int64_t>> nets = {{"bit-r101x1", 1000},
                                                                   {"resnet34-cifar", 10},
                                                                   {"wrn-40-2", 10},
                                                                   {"resnet50", 1000},
                                                                   {"mobilenet-v2", 1000}};
        for (const auto& [name, classes] : nets)
            for (const DenseConvolution& c : dense_convolutions(build_random_net(*backend, name, classes, 1)))
                if (seen.insert(to_string(ConvProblem{.spec = c.spec, .x = c.x})).second) found.push_back(c);
        return found;
    }();
    return all;
}

// Channels as the convolutions of this backend pad them: 16 bytes of each type.
int64_t padded(int64_t channels, DType type) {
    const int64_t step = type == DType::BF16 ? 8 : 4;
    return (channels + step - 1) / step * step;
}

ConvProblem problem_of(DenseConvolution c, Direction direction, Precision precision) {
    const DType type = precision == Precision::BF16 ? DType::BF16 : DType::F32;
    c.spec.in_channels = c.x.c = padded(c.x.c, type);
    c.spec.out_channels = padded(c.spec.out_channels, type);
    return {.direction = direction,
            .spec = c.spec,
            .x = c.x,
            .type = type,
            .precision = precision,
            .deterministic = true};
}

std::vector<Plan> plans_of(const ConvProblem& problem, const PlanTarget& target, size_t limit,
                           PlanCounts* counts = nullptr) {
    const OperationGraph graph(problem, target);
    return make_plans(problem, graph, target, limit, size_t{4} << 30, counts);
}

std::string device_json(const std::string& name) {
    const std::string path = std::string(GS_SOURCE_DIR) + "/tests/cuda/devices/" + name + ".json";
    const auto bytes = read_file(path, ErrorKind::Data);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class PlansWithoutADevice : public testing::TestWithParam<std::string> {};

// Deterministic ones: a run that may be otherwise has these as well.
TEST_P(PlansWithoutADevice, EveryConvolutionOfTheNetsHasOneInEveryPrecision) {
    const PlanTarget target(device_json(GetParam()));
    int problems = 0, products = 0, fused = 0;
    size_t plans = 0;
    for (const DenseConvolution& convolution : all_convolutions()) {
        for (const Precision precision : {Precision::F32, Precision::TF32, Precision::BF16}) {
            for (const Direction direction : {Direction::Forward, Direction::Data, Direction::Weights}) {
                ConvProblem problem = problem_of(convolution, direction, precision);
                ++problems;
                if (is_gemm_only(problem)) {
                    ++products;
                    continue;
                }
                const size_t found = plans_of(problem, target, kPlans).size();
                EXPECT_GT(found, 0u) << to_string(problem);
                plans += found;
                if (direction != Direction::Forward) continue;
                problem.bias = problem.relu = true;
                const size_t with_epilogue = plans_of(problem, target, 1).size();
                EXPECT_GT(with_epilogue, 0u) << to_string(problem);
                fused += static_cast<int>(with_epilogue);
            }
        }
    }
    std::printf(
        "%s: %d problems, %d of them products of cuBLAS alone; %zu plans; %d with bias and ReLU fused\n",
        GetParam().c_str(), problems, products, plans, fused);
    EXPECT_GT(problems, 500);
}

INSTANTIATE_TEST_SUITE_P(Devices, PlansWithoutADevice,
                         testing::Values("a100", "rtx3090", "l4", "h200", "rtx5090"),
                         [](const auto& device) { return device.param; });

DenseConvolution wide_3x3() {
    return {{.in_channels = 64, .out_channels = 64, .kernel_h = 3, .kernel_w = 3, .pad = 1}, {8, 56, 56, 64}};
}

TEST(PlanFilter, RefusesByNumericalNotes) {
    const auto may = [](Precision precision, cudnnBackendNumericalNote_t note, bool deterministic = false) {
        return may_compute(precision, deterministic, {CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP, note});
    };
    using enum Precision;
    for (const Precision precision : {F32, TF32, BF16}) {
        EXPECT_TRUE(may_compute(precision, true, {}));
        EXPECT_TRUE(may(precision, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC));
        EXPECT_FALSE(may(precision, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, true));
        for (const auto note :
             {CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, CUDNN_NUMERICAL_NOTE_FFT,
              CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4,
              CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13})
            EXPECT_FALSE(may(precision, note)) << static_cast<int>(note);
    }
    EXPECT_FALSE(may(F32, CUDNN_NUMERICAL_NOTE_TENSOR_CORE));
    EXPECT_TRUE(may(TF32, CUDNN_NUMERICAL_NOTE_TENSOR_CORE));
    EXPECT_TRUE(may(BF16, CUDNN_NUMERICAL_NOTE_TENSOR_CORE));
    EXPECT_FALSE(may(F32, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS));
    EXPECT_FALSE(may(TF32, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS));
    EXPECT_TRUE(may(BF16, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS));
}

TEST(PlanFilter, FallsOnWhatCudnnProposes) {
    const PlanTarget target(device_json("h200"));
    const auto counts_of = [&](Precision precision, bool deterministic) {
        ConvProblem problem = problem_of(wide_3x3(), Direction::Data, precision);
        problem.deterministic = deterministic;
        PlanCounts counts;
        plans_of(problem, target, 1000, &counts);
        return counts;
    };
    const PlanCounts f32 = counts_of(Precision::F32, false), tf32 = counts_of(Precision::TF32, false),
                     repeats = counts_of(Precision::F32, true);
    EXPECT_EQ(f32.proposed, tf32.proposed);  // the same types: only the notes tell them apart
    EXPECT_GT(f32.refused, tf32.refused);
    EXPECT_GT(repeats.refused, f32.refused);
    EXPECT_EQ(f32.compiled, 0);
    EXPECT_EQ(f32.failed, 0);
}

TEST(Plans, StayBelowTheLargestWorkspace) {
    const PlanTarget target(device_json("h200"));
    const ConvProblem problem = problem_of(wide_3x3(), Direction::Data, Precision::F32);
    const OperationGraph graph(problem, target);
    PlanCounts counts;
    const std::vector<Plan> small = make_plans(problem, graph, target, 1000, 0, &counts);
    EXPECT_GT(counts.too_large, 0);
    EXPECT_FALSE(small.empty());
    for (const Plan& plan : small) EXPECT_EQ(plan.workspace, 0u) << plan.name;
}

TEST(Plans, HaveNamesThatTellThemApartAndStayTheSame) {
    const PlanTarget target(device_json("h200"));
    const ConvProblem problem = problem_of(wide_3x3(), Direction::Forward, Precision::TF32);
    const auto names = [&] {
        std::vector<std::string> found;
        for (const Plan& plan : plans_of(problem, target, kPlans)) found.push_back(plan.name);
        return found;
    };
    const std::vector<std::string> once = names();
    EXPECT_EQ(once.size(), kPlans);
    EXPECT_EQ(std::set<std::string>(once.begin(), once.end()).size(), kPlans);
    EXPECT_EQ(names(), once);
    EXPECT_THAT(once.front(), testing::MatchesRegex("engine [0-9]+:( [0-9]+=-?[0-9]+)*"));
}

TEST(Plans, AreMadeForOddChannelsAndAlignments) {
    const PlanTarget target(device_json("h200"));
    for (const Precision precision : {Precision::F32, Precision::TF32, Precision::BF16}) {
        for (const Direction direction : {Direction::Forward, Direction::Data, Direction::Weights}) {
            ConvProblem problem = problem_of(wide_3x3(), direction, precision);
            problem.spec = {
                .in_channels = 33, .out_channels = 17, .kernel_h = 3, .kernel_w = 3, .stride = 2, .pad = 1};
            problem.x = {3, 7, 5, 33};
            problem.alignment = static_cast<int64_t>(size_of(problem.type));
            EXPECT_FALSE(plans_of(problem, target, 1).empty()) << to_string(problem);
        }
    }
}

TEST(Descriptors, SayWhichCallFailedAndWhy) {
    Descriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    try {
        tensor.finalize();  // without dimensions
        FAIL() << "an empty tensor was accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Internal);
        EXPECT_THAT(error.what(), testing::HasSubstr("cudnnBackendFinalize"));
        EXPECT_THAT(error.what(), testing::HasSubstr("CUDNN_STATUS_BAD_PARAM"));
        EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("\n")));
    }
    EXPECT_THROW(PlanTarget("{\"deviceName\": 7"), Error);
}

}  // namespace
}  // namespace gs::cuda
