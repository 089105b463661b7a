// Scores of one forward pass and ODIN through net, plan and executor, all methods in one request, against
// PyTorch in float64 on every golden net.
#include <gtest/gtest.h>

#include "passes/executor.h"
#include "scores/score.h"
#include "tests/scores/reference_scores.h"
#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"

namespace gs::test {
namespace {

// The golden key of a method's score, and the tolerances golden/README.md suggests for small and deep nets.
struct KeyedMethod {
    std::string method, key;
    double small = 2e-5, deep = 1e-4;
};

std::vector<KeyedMethod> methods() {
    std::vector<KeyedMethod> all{
        {"msp", "msp"},
        {"msp:form=log", "log_msp"},
        {"maxlogit", "maxlogit"},
        {"energy", "energy_T1"},
        {"energy:temperature=2.5", "energy_T2.5"},
        {"gradnorm", "gradnorm_T1"},
        {"gradnorm:temperature=2", "gradnorm_T2"},
        {"odin", "odin_T1000_eps0", 1e-6, 1e-6},
        {"odin:form=log", "odin_T1000_eps0_log_cs", 5e-4, 5e-4},
        {"odin:epsilon=0.0014", "odin_T1000_eps0.0014", 1e-6, 1e-4},
        {"odin:form=log:epsilon=0.0014", "odin_T1000_eps0.0014_log_cs", 5e-4, 2e-2},
        {"odin:temperature=10:epsilon=0.005", "odin_T10_eps0.005", 1e-4, 2e-2},
        {"odin:temperature=10:epsilon=0.005:form=log", "odin_T10_eps0.005_log_cs", 5e-4, 2e-2}};
    for (const char* p : {"0.3", "0.5", "1", "2", "3", "4", "inf"})
        all.push_back({std::string("gradnorm:params=weights:p=") + p, std::string("gradnorm_head_lp_") + p});
    return all;
}

class GoldenScores : public testing::TestWithParam<GoldenCase> {
  protected:
    void SetUp() override {
        if (!GetParam().is_here()) GTEST_SKIP() << "needs the folder ../shared, which is not here";
        golden_ = std::make_unique<GoldenNet>(GetParam());
    }

    std::vector<double> row(const std::string& key, int64_t n) const {
        const std::vector<double> all = golden_->file().doubles(key);
        const auto columns = static_cast<size_t>(golden_->file().shape(key)[1]);
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(n) * columns);
        return {begin, begin + static_cast<std::ptrdiff_t>(columns)};
    }

    // The stored score; the project's own files hold logits and features, of which the definition makes it.
    // Nothing where neither is there.
    std::vector<double> wanted(const KeyedMethod& m) const {
        const GoldenFile& file = golden_->file();
        if (file.has("score/" + m.key)) return file.doubles("score/" + m.key);
        const MethodSpec spec = parse_methods(m.method).at(0);
        const auto option = [&](const char* name, double fallback) {
            const auto it = spec.options.find(name);
            return it == spec.options.end() ? fallback : std::stod(it->second);
        };
        const bool odin = spec.name == "odin";
        const double t = option("temperature", odin ? 1000 : 1), epsilon = option("epsilon", 0);
        const std::string logits = epsilon == 0 ? "logits" : "odin_T1000_eps0.0014/logits";
        if (epsilon != 0 && (epsilon != 0.0014 || t != 1000)) return {};
        std::vector<double> out;
        for (int64_t n = 0; n < file.shape("logits")[0]; ++n) {
            const std::vector<double> z = row(logits, n);
            const std::vector<Real> p = softmax(z, t);
            Real score = *std::max_element(p.begin(), p.end());
            if (spec.name == "maxlogit") score = *std::max_element(z.begin(), z.end());
            if (spec.name == "energy") score = energy(z, t);
            if (spec.name == "gradnorm")
                score = norm(head_gradient(z, row("features", n), t, false), option("p", 1));
            if (spec.options.contains("form"))
                score = std::log(score * (odin ? static_cast<Real>(z.size()) : 1));
            out.push_back(static_cast<double>(score));
        }
        return out;
    }

    std::unique_ptr<GoldenNet> golden_;
};

TEST_P(GoldenScores, InOneRequest) {
    for (const BackendUnderTest& b : backends_under_test()) {
        SCOPED_TRACE(b.name);
        const Net net = golden_->build(*b.backend);
        std::vector<std::unique_ptr<Score>> scores;
        Request request;
        for (const KeyedMethod& m : methods()) {
            scores.push_back(make_score(parse_methods(m.method).at(0), {net, net.preprocess}));
            request.merge(scores.back()->request());
        }
        EXPECT_EQ(request.backwards.size(), 2u) << "one for each temperature of ODIN, whatever its form";
        Executor executor(*b.backend, net, request);
        const ref::Tensor<float> x = golden_->input();
        const Evidence evidence = executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
        size_t compared = 0;
        for (size_t i = 0; i < scores.size(); ++i) {
            const KeyedMethod m = methods()[i];
            const std::vector<double> want = wanted(m);
            if (want.empty()) continue;
            std::vector<double> got(static_cast<size_t>(evidence.samples), NAN);
            scores[i]->compute(evidence, got);
            expect_close(m.method, {got.begin(), got.end()}, want,
                         golden_->tolerance("score/" + m.key, m.small, m.deep));
            ++compared;
        }
        EXPECT_GE(compared, methods().size() - 2);
    }
}

INSTANTIATE_TEST_SUITE_P(All, GoldenScores, testing::ValuesIn(all_golden_nets()), [](const auto& param) {
    return (param.param.shared ? "shared_" : "") + param.param.name;
});

}  // namespace
}  // namespace gs::test
