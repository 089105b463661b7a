// Norms of every convolution's and linear layer's weight gradient, and GradNorm over layers, against the
// float64 oracle on every golden net; the explicit pass against the head's closed form.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>

#include "passes/executor.h"
#include "scores/score.h"
#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/failure.h"
#include "tests/support/golden_net.h"

namespace gs::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Cotangent kUniform{Cotangent::Kind::UniformCrossEntropy, 1};

class WeightNormsTest : public testing::TestWithParam<GoldenCase> {
  protected:
    void SetUp() override {
        if (!GetParam().is_here()) GTEST_SKIP() << "needs the folder ../shared, which is not here";
        golden_ = std::make_unique<GoldenNet>(GetParam());
    }

    Evidence run(Backend& backend, const Net& net, const Request& request) const {
        Executor executor(backend, net, request);
        const ref::Tensor<float> x = golden_->input();
        return executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
    }

    // Column of `param` in the stored [samples][parameters] norms.
    std::vector<double> column(const std::string& key, const std::string& param) const {
        const auto names = golden_->file().names("param_names");
        const auto at = static_cast<size_t>(std::find(names.begin(), names.end(), param) - names.begin());
        if (at == names.size()) throw std::runtime_error(param + " is not in the golden file");
        const std::vector<double> all = golden_->file().doubles(key);
        std::vector<double> values;
        for (size_t i = at; i < all.size(); i += names.size()) values.push_back(all[i]);
        return values;
    }

    // golden/README.md: relative to each column's largest value; deep nets flip ReLUs in float32.
    double tolerance() const { return GetParam().deep ? 5e-3 : 1e-4; }

    std::unique_ptr<GoldenNet> golden_;
};

// Names of the net's parameters of these kinds.
std::vector<std::string> parameters_of(const Net& net, const std::set<Parameter::Kind>& kinds) {
    std::vector<std::string> names;
    for (const Node& node : net.nodes) {
        const std::vector<Parameter> described = node.layer->parameters();
        for (size_t i = 0; i < described.size(); ++i)
            if (kinds.contains(described[i].kind)) names.push_back(node.parameters.at(i));
    }
    return names;
}

using Kind = Parameter::Kind;
const std::set<Kind> kWeights{Kind::Weight}, kWeightsAndNorms{Kind::Weight, Kind::Gamma, Kind::Beta},
    kAll{Kind::Weight, Kind::Gamma, Kind::Beta, Kind::Bias};

TEST_P(WeightNormsTest, OfEveryParameter) {
    for (const BackendUnderTest& b : backends_under_test()) {
        SCOPED_TRACE(b.name);
        const Net net = golden_->build(*b.backend);
        const auto names = golden_->file().names("param_names");
        EXPECT_EQ(parameters_of(net, kAll).size(), names.size());
        Request request{.backwards = {{.cotangent = kUniform}}};
        for (const std::string& name : names)
            for (const double p : {1.0, 2.0}) request.backwards[0].weight_norms.push_back({name, p});
        const Evidence evidence = run(*b.backend, net, request);
        for (const std::string& name : names) {
            std::vector<float> l1, l2;
            for (int64_t n = 0; n < evidence.samples; ++n) {
                l1.push_back(static_cast<float>(evidence.weight_norm(kUniform, {name, 1}, n)));
                l2.push_back(static_cast<float>(std::sqrt(evidence.weight_norm(kUniform, {name, 2}, n))));
            }
            expect_close(name + " l1", l1, column("gradnorm/param_l1", name), tolerance());
            expect_close(name + " l2", l2, column("gradnorm/param_l2", name), tolerance());
        }
    }
}

// The squared norm alone takes other routes than among other norms. Both are sums of the same float32
// gradients.
TEST_P(WeightNormsTest, SquaresAloneAreSquaresAmongOthers) {
    Backend& backend = *backends_under_test().back().backend;
    const Net net = golden_->build(backend);
    Request alone{.backwards = {{.cotangent = kUniform}}}, among = alone;
    for (const std::string& weight : parameters_of(net, kWeights)) {
        alone.backwards[0].weight_norms.push_back({weight, 2});
        for (const double p : {1.0, 2.0}) among.backwards[0].weight_norms.push_back({weight, p});
    }
    const Evidence a = run(backend, net, alone), b = run(backend, net, among);
    for (const std::string& weight : parameters_of(net, kWeights)) {
        std::vector<float> got;
        std::vector<double> want;
        for (int64_t n = 0; n < a.samples; ++n) {
            got.push_back(static_cast<float>(a.weight_norm(kUniform, {weight, 2}, n)));
            want.push_back(b.weight_norm(kUniform, {weight, 2}, n));
        }
        expect_close(weight, got, want, 2e-6);
    }
}

// The score over `layers` and `params` against the sum of the golden norms of those parameters.
TEST_P(WeightNormsTest, GradNormOverLayersIsTheSum) {
    Backend& backend = *backends_under_test().back().backend;
    const Net net = golden_->build(backend);
    const std::string stage = net.stages.back(), head = net.nodes.back().name;
    const auto below = [](const std::string& module) {
        return [module](const std::string& name) {
            return name.starts_with(module + ".") || name.starts_with("body." + module + ".");
        };
    };
    const auto everything = [](const std::string&) { return true; };
    const std::vector<std::pair<std::string, std::function<bool(const std::string&)>>> selections = {
        {"all", everything},
        {stage, below(stage)},
        {stage + "+head", [&](const std::string& name) { return below(stage)(name) || below(head)(name); }},
        {"head", below(head)}};
    for (const auto& [params, kinds] : std::map<std::string, std::set<Kind>>{
             {"weights", kWeights}, {"weights+norm", kWeightsAndNorms}, {"all", kAll}})
        for (const auto& [layers, chosen] : selections)
            for (const int p : {1, 2}) {
                const std::string method =
                    "gradnorm:p=" + std::to_string(p) + ":layers=" + layers + ":params=" + params;
                SCOPED_TRACE(method);
                const auto score = make_score(parse_methods(method).at(0), {net, net.preprocess});
                const Evidence evidence = run(backend, net, score->request());
                std::vector<double> got(static_cast<size_t>(evidence.samples)), want(got.size(), 0.0);
                score->compute(evidence, got);
                for (const std::string& name : parameters_of(net, kinds)) {
                    if (!chosen(name)) continue;
                    const std::vector<double> norm = column("gradnorm/param_l" + std::to_string(p), name);
                    for (size_t n = 0; n < want.size(); ++n) want[n] += std::pow(norm[n], p);
                }
                for (double& v : want) v = std::pow(v, 1.0 / p);
                expect_close("score", std::vector<float>(got.begin(), got.end()), want, tolerance());
            }
}

TEST_P(WeightNormsTest, Case19_TheHeadsClosedFormEqualsTheExplicitPass) {
    Backend& backend = *backends_under_test().back().backend;
    const Net net = golden_->build(backend);
    const std::string head = net.nodes.back().weight;
    for (const std::string options : {"p=1", "p=2", "p=inf", "p=1:temperature=2", "p=2:temperature=2"}) {
        const std::string method = "gradnorm:" + options;
        const auto closed = make_score(parse_methods(method).at(0), {net, net.preprocess});
        const auto explicit_form =
            make_score(parse_methods(method + ":layers=" + head.substr(0, head.rfind('.'))).at(0),
                       {net, net.preprocess});
        Request both = closed->request();
        both.merge(explicit_form->request());
        const Evidence evidence = run(backend, net, both);
        std::vector<double> a(static_cast<size_t>(evidence.samples)), b(a.size());
        closed->compute(evidence, a);
        explicit_form->compute(evidence, b);
        // float32 seeds and one float32 rounding of the result.
        expect_close(options, std::vector<float>(b.begin(), b.end()), a, 1e-5);
    }
}

TEST_P(WeightNormsTest, TheLargestOfAllLayersIsTheLargestOfEach) {
    Backend& backend = *backends_under_test().back().backend;
    const Net net = golden_->build(backend);
    std::vector<std::unique_ptr<Score>> scores;  // of each layer, and of all behind them
    Request merged;
    for (const MethodSpec& spec : expand_layers(parse_methods("gradnorm:p=inf:layers=each"), net)) {
        scores.push_back(make_score(spec, {net, net.preprocess}));
        merged.merge(scores.back()->request());
    }
    const Evidence evidence = run(backend, net, merged);
    std::vector<double> got(static_cast<size_t>(evidence.samples)), want(got.size(), 0.0);
    scores.back()->compute(evidence, got);
    scores.pop_back();
    ASSERT_GE(scores.size(), 8u);
    for (const auto& score : scores) {
        std::vector<double> of_layer(got.size());
        score->compute(evidence, of_layer);
        for (size_t n = 0; n < want.size(); ++n) want[n] = std::max(want[n], of_layer[n]);
    }
    expect_close("largest", got, want, 0);  // of the same numbers
}

// Gradient tracking of GradNorm's loss adds the same norms, those of the last layer from closed forms.
TEST_P(WeightNormsTest, TrackingAddsTheNormsOfItsParameters) {
    Backend& backend = *backends_under_test().back().backend;
    const Net net = golden_->build(backend);
    for (const auto& [params, kinds] : std::map<std::string, std::set<Kind>>{
             {"weights", kWeights}, {"weights+norm", kWeightsAndNorms}, {"all", kAll}})
        for (const std::string layers : {"all", "head"}) {
            std::vector<std::unique_ptr<Score>> scores;
            Request merged;
            for (const std::string p : {"1", "2"}) {
                const std::string method =
                    "track:score=uniform:p=" + p + ":layers=" + layers + ":params=" + params;
                scores.push_back(make_score(parse_methods(method).at(0), {net, net.preprocess}));
                merged.merge(scores.back()->request());
            }
            const Evidence evidence = run(backend, net, merged);
            for (const int p : {1, 2}) {
                std::vector<double> want(static_cast<size_t>(evidence.samples)), got = want;
                for (const std::string& name : parameters_of(net, kinds)) {
                    if (layers == "head" && !net.nodes.back().parameter(name)) continue;
                    const std::vector<double> norms =
                        column(p == 1 ? "gradnorm/param_l1" : "gradnorm/param_l2", name);
                    for (size_t n = 0; n < want.size(); ++n) want[n] -= norms[n];
                }
                scores[static_cast<size_t>(p - 1)]->compute(evidence, got);
                expect_close(params + " of " + layers + ", p " + std::to_string(p),
                             std::vector<float>(got.begin(), got.end()), want, tolerance());
            }
        }
}

INSTANTIATE_TEST_SUITE_P(Golden, WeightNormsTest, testing::ValuesIn(all_golden_nets()),
                         [](const auto& param) { return param.param.name; });

TEST(GradNormLayers, SelectorsAndTheirErrors) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "resnet8-cifar", 10, 1);
    const auto norms = [&](const std::string& layers) {  // and options behind them
        const auto score =
            make_score(parse_methods("gradnorm:layers=" + layers).at(0), {net, net.preprocess});
        return score->request().backwards.at(0).weight_norms.size();
    };
    EXPECT_EQ(norms("all"), 8u);
    EXPECT_EQ(norms("block2"), 2u);
    EXPECT_EQ(norms("layer2"), 2u);
    EXPECT_EQ(norms("block2+head"), 3u);
    EXPECT_EQ(norms("block2+block2"), 2u);
    EXPECT_EQ(norms("layer1.0.conv1"), 1u);
    const auto refusal = [](const auto& call) { return failure_of(ErrorKind::Usage, call); };
    EXPECT_THAT(refusal([&] { norms("block9"); }), HasSubstr("layers=block9 names no weight of"));
    EXPECT_THAT(refusal([&] { norms(""); }), HasSubstr("'layers=' is not an option KEY=VALUE"));
    EXPECT_THAT(refusal([&] { norms("all+"); }), HasSubstr("layers= names no weight of"));
    EXPECT_EQ(norms("all:params=weights+norm"), 8u + 2 * 7u);
    EXPECT_EQ(norms("all:params=all"), 8u + 2 * 7u + 1u);
    EXPECT_EQ(norms("layer1.0.bn1:params=weights+norm"), 2u);
    EXPECT_EQ(norms("block2+head:params=all"), 3u * 2u + 2u);
    EXPECT_THAT(refusal([&] { norms("layer1.0.bn1"); }), HasSubstr("layers=layer1.0.bn1 names no weight of"));

    const auto columns = [&](const std::string& method) {
        std::vector<std::string> written;
        for (const MethodSpec& spec : expand_layers(parse_methods(method), net))
            written.push_back(spec.written);
        return written;
    };
    EXPECT_EQ(columns("gradnorm:layers=each").size(), 8u + 1u);
    EXPECT_EQ(columns("gradnorm:layers=each:p=2")[0], "gradnorm:layers=conv1:p=2");
    EXPECT_EQ(columns("gradnorm:layers=each:params=weights+norm").size(), 8u + 7u + 1u);
    EXPECT_EQ(columns("gradnorm:layers=each:params=weights+norm")[1],
              "gradnorm:layers=bn1:params=weights+norm");
    EXPECT_EQ(columns("track:params=all:layers=each").back(), "track:params=all:layers=all");
    EXPECT_THAT(refusal([&] { columns("gradnorm:layers=each:params=none"); }),
                HasSubstr("params=none is not one of"));
}

// block1 is features.1, and neither features.10 nor another net's layer1.
TEST(GradNormLayers, BlocksOfMobileNetAreItsFeatures) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "mobilenet-v2", 10, 1);
    const auto weights = [&](const std::string& layers) {
        const auto score =
            make_score(parse_methods("gradnorm:layers=" + layers).at(0), {net, net.preprocess});
        const Request request = score->request();
        std::vector<std::string> names;
        for (const WeightNorm& norm : request.backwards.at(0).weight_norms) names.push_back(norm.parameter);
        return names;
    };
    EXPECT_THAT(weights("block0"), ElementsAre("features.0.0.weight"));
    EXPECT_THAT(weights("block1"), ElementsAre("features.1.conv.0.0.weight", "features.1.conv.1.weight"));
    EXPECT_THAT(weights("block2+head"),
                ElementsAre("features.2.conv.0.0.weight", "features.2.conv.1.0.weight",
                            "features.2.conv.2.weight", "classifier.1.weight"));
    EXPECT_THAT(weights("block18"), ElementsAre("features.18.0.weight"));
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { weights("block19"); }),
                HasSubstr("layers=block19 names no weight of mobilenet-v2"));
}

}  // namespace
}  // namespace gs::test
