// Mahalanobis against the float64 oracle of bit_small: layer scores, steps, gradients, the combined score.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/numbers.h"
#include "scores/linear_algebra.h"
#include "scores/mahalanobis_layers.h"
#include "tests/scores/mahalanobis_support.h"
#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"

namespace gs::test {
namespace {

// Means and precisions of mahalanobis_bit as the state of a fit of 100 images. The precision is stored as
// such, or as a factor V with P = (I - V V^T) / lambda rounded to float32 (golden/README.md).
class OracleOfBit {
  public:
    OracleOfBit()
        : net_(GoldenCase{"bit_small", true}),
          file_(*shared_dir() / "golden" / "mahalanobis_bit.safetensors") {}

    const GoldenNet& net() const { return net_; }
    const GoldenFile& file() const { return file_; }
    static constexpr int64_t kLayers = 5;

    FitState state() const {
        FitState state{.method = "mahalanobis",
                       .options = {{"form", "lee"}, {"layers", "root+block1+block2+block3+block4"}},
                       .arrays = {}};
        const auto layers = layers_of(state);
        for (size_t l = 0; l < layers.size(); ++l) {
            const std::string number = std::to_string(l);
            const int64_t classes = file_.shape("mean" + number)[0];
            const std::vector<int64_t> count(static_cast<size_t>(classes), 100 / classes);
            put_scatter(state, layers[l],
                        ClassScatter(count, file_.doubles("mean" + number), scatter(number)));
        }
        return state;
    }

  private:
    GoldenNet net_;
    GoldenFile file_;

    std::vector<double> precision(const std::string& number) const {
        if (file_.has("precision" + number)) return file_.doubles("precision" + number);
        const std::vector<double> v = file_.doubles("precision" + number + "_factor");
        const int64_t d = file_.shape("mean" + number)[1], r = static_cast<int64_t>(v.size()) / d;
        const double lambda = file_.doubles("precision" + number + "_lambda")[0];
        std::vector<double> p = multiply_transposed(v, v, d, r, d);
        for (size_t i = 0; i < p.size(); ++i) {
            const double identity = i % static_cast<size_t>(d + 1) == 0 ? 1 : 0;
            p[i] = static_cast<float>((identity - p[i]) / lambda);
        }
        return p;
    }

    // 100 P^-1.
    std::vector<double> scatter(const std::string& number) const {
        const int64_t d = file_.shape("mean" + number)[1];
        const SymmetricEigen eigen = symmetric_eigen(precision(number), d);
        std::vector<double> scaled = eigen.vectors;
        for (size_t i = 0; i < scaled.size(); ++i)
            scaled[i] *= 100 / eigen.values[i % static_cast<size_t>(d)];
        return multiply_transposed(scaled, eigen.vectors, d, d, d);
    }
};

// The oracle's state with whitenings, made once: eigenvalues of 1024 x 1024 take a second.
const FitState& oracle_state(const OracleOfBit& oracle) {
    static const FitState state = [&] {
        FitState made = oracle.state();
        put_whitenings(made);
        put_tuning(made, {.weight = oracle.file().json("lr_weight"), .bias = 0.25, .eta = 0.0014});
        return made;
    }();
    return state;
}

std::vector<double> layer_scores(const OracleOfBit& oracle, double eta, size_t layer) {
    const std::vector<double> all = oracle.file().doubles("layer_score_eta" + shortest(eta));
    std::vector<double> of_layer;
    for (size_t i = layer; i < all.size(); i += OracleOfBit::kLayers) of_layer.push_back(all[i]);
    return of_layer;
}

// s = -sigmoid(t): t.
std::vector<double> logits(std::vector<double> scores) {
    for (double& s : scores) s = std::log(-s / (1 + s));
    return scores;
}

TEST(Mahalanobis, OfTheOracle) {
    GS_SKIP_WITHOUT_SHARED();
    const OracleOfBit oracle;
    const FitState& state = oracle_state(oracle);
    const ref::Tensor<float> x = oracle.net().input();
    const std::vector<double> etas = {0, 0.0014, 0.01};
    const MahalanobisLayers layers(state);
    for (const BackendUnderTest& b : backends_under_test()) {
        SCOPED_TRACE(b.name);
        const Net net = oracle.net().build(*b.backend);
        const Evidence evidence = run(*b.backend, net, layers.request(etas), x);
        for (const double eta : etas) {
            SCOPED_TRACE("eta " + shortest(eta));
            // Steps: where a gradient is about zero, float32 may take the other sign than the oracle, and the
            // pixel moves by 2 eta (measured: 1.3e-4). AtTheOraclesStep has the oracle's signs.
            const double tolerance = eta == 0 ? 1e-4 : 4e-4;
            const std::vector<std::vector<double>> got = layers.scores(evidence, eta);
            for (size_t l = 0; l < got.size(); ++l)
                expect_close("layer " + std::to_string(l), got[l], layer_scores(oracle, eta, l), tolerance);
            const auto want = oracle.file().doubles("score/mahalanobis_eta" + shortest(eta));
            const auto scores = score(*b.backend, net, "mahalanobis:eta=" + shortest(eta), state, x);
            // A change of t is a relative change of a small sigmoid(t): t is compared.
            expect_close("logit", logits(scores), logits(want), tolerance);
            if (eta == 0) expect_close("score", scores, want, 1e-4);
            if (eta == 0.0014) {
                EXPECT_EQ(score(*b.backend, net, "mahalanobis", state, x), scores) << "the tuned step";
            }
        }
    }
}

// x moved by the signs of the oracle's gradient at a layer.
TEST(Mahalanobis, AtTheOraclesStep) {
    GS_SKIP_WITHOUT_SHARED();
    const OracleOfBit oracle;
    const MahalanobisLayers layers(oracle_state(oracle));
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = oracle.net().build(*backend);
    const double still = 0;
    const Request request = layers.request(std::span(&still, 1));
    for (const double eta : {0.0014, 0.01}) {
        for (size_t l = 0; l < OracleOfBit::kLayers; ++l) {
            const ref::Tensor<double> gradient = oracle.file().nhwc("input_grad" + std::to_string(l));
            ref::Tensor<float> x = oracle.net().input();
            for (size_t i = 0; i < x.values.size(); ++i)
                x.values[i] -= static_cast<float>(gradient.values[i] >= 0 ? eta : -eta);
            const Evidence evidence = run(*backend, net, request, x);
            expect_close("layer " + std::to_string(l), layers.scores(evidence, 0)[l],
                         layer_scores(oracle, eta, l), 1e-4);
        }
    }
}

TEST(Mahalanobis, InputGradientsAreTheOracles) {
    GS_SKIP_WITHOUT_SHARED();
    const OracleOfBit oracle;
    const MahalanobisLayers layers(oracle_state(oracle));
    const ref::Tensor<float> x = oracle.net().input();
    const double eta = 0.01;
    Request request = layers.request(std::span(&eta, 1));
    for (Backward& backward : request.backwards) backward.input_gradient = true;
    for (const BackendUnderTest& b : backends_under_test()) {
        SCOPED_TRACE(b.name);
        const Net net = oracle.net().build(*b.backend);
        const Evidence evidence = run(*b.backend, net, request, x);
        ASSERT_EQ(evidence.input_gradients.size(), 5u);
        for (const auto& [cotangent, gradient] : evidence.input_gradients) {
            const auto names = layers.names();
            const auto l = std::find(names.begin(), names.end(), cotangent.loss->tap()) - names.begin();
            ref::Tensor<float> got;
            got.shape = x.shape;
            got.values = gradient.values;
            // Each image's gradient against its own largest; golden/README.md suggests 5e-5 of small nets.
            expect_rows_close(cotangent.loss->name(), got,
                              oracle.file().nhwc("input_grad" + std::to_string(l)), 1e-4);
        }
    }
}

// Every class' M_c at eta = 0: a fit that holds the class alone.
TEST(Mahalanobis, ClassScoresAreTheOracles) {
    GS_SKIP_WITHOUT_SHARED();
    const OracleOfBit oracle;
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = oracle.net().build(*backend);
    FitState state = oracle_state(oracle);
    const double eta = 0;
    for (size_t c = 0; c < 4; ++c) {
        std::vector<int64_t> count(4);
        count[c] = 100;
        state.arrays["count"].values = count;
        const MahalanobisLayers layers(state);
        const Evidence evidence =
            run(*backend, net, layers.request(std::span(&eta, 1)), oracle.net().input());
        const auto got = layers.scores(evidence, eta);
        for (size_t l = 0; l < got.size(); ++l) {
            const std::vector<double> all = oracle.file().doubles("class_score" + std::to_string(l));
            std::vector<double> want;
            for (size_t n = 0; n < got[l].size(); ++n) want.push_back(all[n * 4 + c]);
            expect_close("class " + std::to_string(c) + ", layer " + std::to_string(l), got[l], want, 1e-4);
        }
    }
}

}  // namespace
}  // namespace gs::test
