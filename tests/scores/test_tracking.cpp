// Gradient tracking: every layer and candidate label against the float64 oracle, the last layer's closed
// forms against their definitions and against the explicit pass, and the losses' gradients against
// differences.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "passes/executor.h"
#include "scores/score.h"
#include "scores/statistics.h"
#include "scores/track_loss.h"
#include "tests/scores/reference_scores.h"
#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/failure.h"
#include "tests/support/golden_net.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

using testing::HasSubstr;

std::vector<float> narrow(const std::vector<double>& values) {
    return {values.begin(), values.end()};
}

std::unique_ptr<Score> track(const Net& net, const std::string& options) {
    return make_score(parse_methods("track:" + options).at(0), {net, net.preprocess});
}

std::vector<double> computed(const Score& score, const Evidence& evidence) {
    std::vector<double> out(static_cast<size_t>(evidence.samples), NAN);
    score.compute(evidence, out);
    return out;
}

std::string module_of(const std::string& weight) {
    return weight.substr(0, weight.rfind('.'));
}

class TrackingOfNets : public testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        const GoldenCase which{GetParam(), true};
        if (!which.is_here()) GTEST_SKIP() << "needs the folder ../shared, which is not here";
        golden_ = std::make_unique<GoldenNet>(which);
        backend_ = backends_under_test().back().backend.get();
        net_ = golden_->build(*backend_);
    }
    Evidence run(const Request& request) const {
        Executor executor(*backend_, net_, request);
        const ref::Tensor<float> x = golden_->input();
        return executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
    }
    // [N][L][C] of the oracle, reduced over the candidates, in the order of track_layers.
    template <class F>
    std::vector<double> reduced(const std::string& key, size_t layer, const F& reduce) const {
        const std::vector<double> all = golden_->file().doubles(key);
        const std::vector<int64_t> shape = golden_->file().shape(key);
        const auto layers = static_cast<size_t>(shape[1]), classes = static_cast<size_t>(shape[2]);
        std::vector<double> out;
        for (size_t n = 0; n < static_cast<size_t>(shape[0]); ++n)
            out.push_back(reduce(std::span(all).subspan((n * layers + layer) * classes, classes), n));
        return out;
    }

    std::unique_ptr<GoldenNet> golden_;
    Backend* backend_ = nullptr;
    Net net_;
};

double mean(std::span<const double> v) {
    double sum = 0;
    for (const double x : v) sum += x;
    return sum / static_cast<double>(v.size());
}

TEST_P(TrackingOfNets, EveryLayerMeetsTheOracle) {
    const auto layers = golden_->file().names("track_layers");
    const std::vector<double> logits = golden_->file().doubles("logits");
    const auto classes = static_cast<size_t>(net_.head.classes);
    const auto prediction = [&](size_t n) {
        const auto row = std::span(logits).subspan(n * classes, classes);
        return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    };
    for (const std::string loss : {"ce", "bce"}) {
        const auto expect = [&](const std::string& score, const auto& reduce) {
            const std::string options = "loss=" + loss + ":score=" + score;
            const auto all = track(net_, options);
            const Evidence evidence = run(all->request());
            std::vector<double> total(static_cast<size_t>(evidence.samples), 0.0);
            for (size_t l = 0; l < layers.size(); ++l) {
                std::vector<double> want = reduced("track_" + loss, l, reduce);
                for (size_t n = 0; n < want.size(); ++n) total[n] += want[n] = -want[n];
                const auto one = track(net_, options + ":layers=" + module_of(layers[l]));
                // golden/README.md: 1e-4 of the largest for norms of weight gradients of small nets.
                expect_close(options + " " + layers[l], narrow(computed(*one, evidence)), want, 1e-4);
            }
            expect_close(options, narrow(computed(*all, evidence)), total, 1e-4);
        };
        expect("min", [](auto v, size_t) { return *std::min_element(v.begin(), v.end()); });
        expect("max", [](auto v, size_t) { return *std::max_element(v.begin(), v.end()); });
        expect("mean", [](auto v, size_t) { return mean(v); });
        expect("pred", [&](auto v, size_t n) { return v[prediction(n)]; });
    }
}

// More losses than classes: the classes' logits go down once, and the norms of all losses follow from the
// Gram matrices of their gradients. The same scores as of each loss by itself.
TEST_P(TrackingOfNets, ManyLossesShareTheClassesPass) {
    std::vector<std::unique_ptr<Score>> scores;
    Request merged;
    for (const std::string options : {"score=min", "loss=bce:score=max", "loss=energy:margin=-2:score=mean",
                                      "score=pred", "score=uniform"}) {
        scores.push_back(track(net_, options));
        merged.merge(scores.back()->request());
    }
    Executor executor(*backend_, net_, merged);
    const ref::Tensor<float> x = golden_->input();
    const std::vector<BackwardSummary>& backwards = executor.plan(x.shape.h, x.shape.w).backwards;
    ASSERT_EQ(backwards.size(), 1u);
    EXPECT_EQ(backwards[0].class_rows, net_.head.classes);
    EXPECT_EQ(static_cast<int64_t>(backwards[0].cotangents.size()), 3 * net_.head.classes + 2);
    const Evidence together = executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
    for (const auto& score : scores) {
        Executor direct(*backend_, net_, score->request());
        EXPECT_EQ(direct.plan(x.shape.h, x.shape.w).backwards.at(0).class_rows, 0);
        expect_close("combined", narrow(computed(*score, together)),
                     computed(*score, direct.run(x.values, x.shape.n, x.shape.h, x.shape.w)), 5e-6);
    }
}

// Gradients of anything else than weights, another exponent or another end, and there are as many passes as
// losses.
TEST_P(TrackingOfNets, OnlySquaredNormsAreCombined) {
    Request merged = track(net_, "score=min")->request();
    merged.merge(track(net_, "loss=bce")->request());
    const auto class_rows = [&](const Request& request) {
        int rows = 0;
        Executor executor(*backend_, net_, request);
        const Shape image = golden_->input().shape;
        for (const BackwardSummary& b : executor.plan(image.h, image.w).backwards) rows += b.class_rows;
        return rows;
    };
    EXPECT_EQ(class_rows(merged), net_.head.classes);
    Request absolute = merged, other = merged, tapped = merged;
    for (Backward& b : absolute.backwards) b.weight_norms.back().p = 1;
    for (Backward& b : other.backwards) b.input_gradient = true;
    for (Backward& b : tapped.backwards) b.gradients.push_back({net_.stages[0], Reduction::Sum});
    for (const Request& request : {absolute, other, tapped}) EXPECT_EQ(class_rows(request), 0);
}

// The uniform target is GradNorm's: its norms over all layers, added instead of joined.
TEST_P(TrackingOfNets, UniformIsGradNorm) {
    const auto uniform = track(net_, "score=uniform:p=1");
    const auto gradnorm = make_score(parse_methods("gradnorm:layers=all").at(0), {net_, net_.preprocess});
    Request both = uniform->request();
    both.merge(gradnorm->request());
    EXPECT_EQ(both.backwards.size(), 1u);
    const Evidence evidence = run(both);
    std::vector<double> want = computed(*gradnorm, evidence);
    for (double& v : want) v = -v;
    expect_close("uniform", narrow(computed(*uniform, evidence)), want, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Golden, TrackingOfNets,
                         testing::Values("bit_small", "cifar_resnet_small", "wrn16_2"),
                         [](const auto& p) { return p.param; });

TEST(TrackingOfTheHead, MeetsTheOracle) {
    GS_SKIP_WITHOUT_SHARED();
    const GoldenFile file(*shared_dir() / "golden" / "logits.safetensors");
    const std::vector<int64_t> shape = file.shape("logits");
    Net net;  // nothing but a last layer
    const auto backend = make_cpu_backend({.threads = 1});
    net = build_random_net(*backend, "resnet8-cifar", shape[1], 1);
    Evidence evidence;
    evidence.samples = shape[0];
    evidence.logits = {shape[0], shape[1], file.floats("logits")};
    evidence.features = {shape[0], file.shape("features")[1], file.floats("features")};
    const auto classes = static_cast<size_t>(shape[1]);
    for (const std::string loss : {"ce", "bce"}) {
        const std::vector<double> all = file.doubles("track_" + loss + "/l2");
        const std::vector<double> least = computed(*track(net, "layers=head:loss=" + loss), evidence);
        const std::vector<double> most =
            computed(*track(net, "layers=head:score=max:loss=" + loss), evidence);
        for (size_t n = 0; n < least.size(); ++n) {
            const auto row = std::span(all).subspan(n * classes, classes);
            // Float64 from the same float32 logits: the oracle's own 1 - p_c cancels where p_c is all but 1.
            const double scale = *std::max_element(row.begin(), row.end());
            EXPECT_NEAR(-least[n], *std::min_element(row.begin(), row.end()), 1e-12 * scale) << loss << n;
            EXPECT_NEAR(-most[n], scale, 1e-12 * scale) << loss << n;
        }
    }
}

Evidence random_head(int64_t rows, int64_t classes, int64_t features, double spread) {
    Evidence evidence;
    evidence.samples = rows;
    evidence.logits = {rows, classes, random_values(rows * classes, Fill::Normal, 3)};
    for (float& v : evidence.logits.values) v *= static_cast<float>(spread);
    evidence.features = {rows, features, random_values(rows * features, Fill::Normal, 4)};
    return evidence;
}

// n_c is the norm of (softmax(z) - e_c) f^T, element by element in long double.
TEST(TrackingOfTheHead, IsItsDefinition) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "resnet8-cifar", 7, 1);
    const Evidence e = random_head(12, 7, 5, 4);
    for (const double p : {0.5, 1.0, 2.0, 3.0, std::numeric_limits<double>::infinity()})
        for (const std::string score : {"min", "max", "mean", "pred"}) {
            const std::string options =
                "layers=head:score=" + score + ":p=" + (std::isinf(p) ? "inf" : std::to_string(p));
            const auto got = computed(*track(net, options), e);
            const auto with_bias = computed(*track(net, options + ":params=all"), e);
            for (int64_t n = 0; n < e.samples; ++n) {
                const std::vector<double> z(e.logits.row(n).begin(), e.logits.row(n).end());
                const std::vector<Real> q = softmax(z, 1);
                std::vector<Real> of_weight, of_bias;
                for (size_t c = 0; c < z.size(); ++c) {
                    std::vector<Real> a, elements;
                    for (size_t k = 0; k < z.size(); ++k) {
                        a.push_back(q[k] - (k == c ? 1 : 0));
                        for (const float f : e.features.row(n)) elements.push_back(a.back() * f);
                    }
                    of_weight.push_back(norm(elements, p));
                    of_bias.push_back(norm(a, p));
                }
                const auto top = static_cast<size_t>(std::max_element(z.begin(), z.end()) - z.begin());
                const auto reduced = [&](const std::vector<Real>& norms) {
                    if (score == "min") return *std::min_element(norms.begin(), norms.end());
                    if (score == "max") return *std::max_element(norms.begin(), norms.end());
                    if (score == "pred") return norms[top];
                    Real mean = 0;
                    for (const Real v : norms) mean += v / static_cast<Real>(norms.size());
                    return mean;
                };
                const auto expect = [&](const std::vector<double>& scores, Real want) {
                    EXPECT_NEAR(-scores[static_cast<size_t>(n)], static_cast<double>(want),
                                1e-12 * static_cast<double>(want))
                        << score << " p " << p;
                };
                expect(got, reduced(of_weight));
                expect(with_bias, reduced(of_weight) + reduced(of_bias));
            }
        }
}

// The raw gradient's norm is that of norm_single at the last layer, which stands for itself above; its sign
// is the same, and l2 is what nobody needs to say.
TEST(TrackingOfTheHead, OriginalSingleIsTheNormOfTheHeadsGradient) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "resnet8-cifar", 7, 1);
    const Evidence e = random_head(12, 7, 5, 4);
    for (const std::string score : {"min", "max", "pred", "uniform"}) {
        const std::string original = "form=original_single:score=" + score;
        const auto expect = [&](const std::string& detector, const std::string& p) {
            // Float64 of the same float32 values.
            expect_close(score + detector, computed(*track(net, original + detector), e),
                         computed(*track(net, "layers=head:p=" + p + ":score=" + score), e), 1e-12);
        };
        expect(":detector=l1", "1");
        expect(":detector=l2", "2");
        expect("", "2");
    }
    EXPECT_EQ(track(net, "form=original_single")->options().at("detector"), "l2");
}

// The cosine with the fitted images' mean gradient, element by element; a fit in shards is the fit of all.
TEST(TrackingOfTheHead, CosineWithTheMeanGradient) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "resnet8-cifar", 5, 1);
    const auto d = net.head.features;
    const Evidence e = random_head(9, 5, d, 2);
    const auto rows = [&](int64_t first, int64_t count) {
        Evidence part;
        part.samples = count;
        const auto take = [&](const Matrix& m) {
            const auto begin = m.values.begin() + static_cast<std::ptrdiff_t>(first * m.cols);
            return Matrix{count, m.cols, {begin, begin + static_cast<std::ptrdiff_t>(count * m.cols)}};
        };
        part.logits = take(e.logits);
        part.features = take(e.features);
        return part;
    };
    const MethodSpec spec = parse_methods("track:form=original_single:detector=cosine").at(0);
    const auto fitted = [&](std::vector<std::pair<int64_t, int64_t>> batches) {
        const auto fit = make_fit(spec, {net, net.preprocess});
        for (const auto& [first, count] : batches)
            fit->add(rows(first, count), std::vector<int64_t>(static_cast<size_t>(count), -1));
        return fit->state();
    };
    const FitState shards[] = {fitted({{0, 4}}), fitted({{4, 3}, {7, 2}})};
    StatisticsStore store("", {});
    store.add(merge_states(shards));
    const auto score = make_score(spec, {net, net.preprocess, &store});
    const std::vector<double> got = computed(*score, e);

    const auto gradient = [&](int64_t n) {
        const std::vector<double> z(e.logits.row(n).begin(), e.logits.row(n).end());
        const std::vector<Real> q = softmax(z, 1);
        const auto top = static_cast<size_t>(std::max_element(z.begin(), z.end()) - z.begin());
        std::vector<Real> g;
        for (size_t k = 0; k < z.size(); ++k)
            for (const float f : e.features.row(n)) g.push_back((q[k] - (k == top ? 1 : 0)) * f);
        return g;
    };
    std::vector<Real> sum(static_cast<size_t>(5 * d));
    for (int64_t n = 0; n < e.samples; ++n)
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += gradient(n)[i];
    for (int64_t n = 0; n < e.samples; ++n) {
        const std::vector<Real> g = gradient(n);
        Real dot = 0;
        for (size_t i = 0; i < g.size(); ++i) dot += g[i] * sum[i];
        EXPECT_NEAR(got[static_cast<size_t>(n)], static_cast<double>(dot / norm(g, 2) / norm(sum, 2)), 1e-12);
    }
    EXPECT_THAT(failure_of(ErrorKind::Usage,
                           [&] {
                               computed(*make_score(spec, {net, net.preprocess}), e);
                           }),
                HasSubstr("needs --stats FILE"));
    // The mean of another loss's gradients, or another candidate's, is not this method's.
    for (const std::string& other : {spec.written + ":loss=bce", spec.written + ":score=uniform"})
        EXPECT_THAT(failure_of(ErrorKind::Usage,
                               [&] {
                                   make_score(parse_methods(other).at(0), {net, net.preprocess, &store});
                               }),
                    HasSubstr("'" + other + "' needs a fit"));
    const auto fit = make_fit(spec, {net, net.preprocess});
    Evidence overflowed = rows(0, 1);
    overflowed.features.values[3] = std::numeric_limits<float>::infinity();
    EXPECT_THAT(failure_of(ErrorKind::Data, [&] { fit->add(overflowed, std::vector<int64_t>{-1}); }),
                HasSubstr("features are not finite"))
        << "it would spoil the mean";
}

TEST(TrackLosses, GradientsAreTheSlopes) {
    const std::vector<float> z = {1.5f, -0.5f, 2.25f, 0.25f};
    const std::vector<TrackLoss> losses = {{TrackLoss::Kind::CrossEntropy, 0},
                                           {TrackLoss::Kind::BinaryCrossEntropy, 0},
                                           {TrackLoss::Kind::Energy, -5},   // above the margin
                                           {TrackLoss::Kind::Energy, 20}};  // below: plain cross entropy
    const auto loss = [](const TrackLoss& l, size_t c, std::vector<double> at) {
        double lse = 0, soft = 0;
        for (const double v : at) {
            lse += std::exp(v);
            soft += std::log1p(std::exp(v));
        }
        lse = std::log(lse);
        if (l.kind == TrackLoss::Kind::BinaryCrossEntropy) return soft - at[c];
        const double hinge = l.kind == TrackLoss::Kind::Energy ? std::max(0.0, -lse - l.margin) : 0;
        return lse - at[c] + 0.1 * hinge * hinge;
    };
    for (const TrackLoss& l : losses)
        for (size_t c = 0; c < z.size(); ++c) {
            std::vector<double> gradient(z.size());
            l.gradient(static_cast<int64_t>(c), z, gradient);
            for (size_t k = 0; k < z.size(); ++k) {
                std::vector<double> up(z.begin(), z.end()), down = up;
                up[k] += 1e-5;
                down[k] -= 1e-5;
                // A central difference: 1e-10 of truncation, 1e-11 of rounding.
                EXPECT_NEAR((loss(l, c, up) - loss(l, c, down)) / 2e-5, gradient[k], 1e-8);
            }
        }
    std::vector<double> confident(2);
    losses[0].gradient(0, std::vector<float>{60, 0}, confident);
    EXPECT_NEAR(confident[0] / -std::exp(-60.0), 1, 1e-12);  // p - 1 would be 0
    losses[1].gradient(0, std::vector<float>{60, 0}, confident);
    EXPECT_NEAR(confident[0] / -std::exp(-60.0), 1, 1e-12);
}

TEST(TrackLosses, EqualOnesShareACotangent) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "resnet8-cifar", 3, 1);
    const auto a = track(net, "loss=energy:layers=layer1"), b = track(net, "loss=energy:layers=layer2"),
               other = track(net, "loss=energy:margin=-27:layers=layer2");
    Request request = a->request();
    request.merge(b->request());
    EXPECT_EQ(request.backwards.size(), 3u);
    request.merge(other->request());
    EXPECT_EQ(request.backwards.size(), 6u);
}

TEST(TrackOptions, WrongOnesAreRefused) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "resnet8-cifar", 3, 1);
    const auto refusal = [&](const std::string& options) {
        try {
            track(net, options);
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Usage);
            return std::string(error.what());
        }
        return std::string();
    };
    EXPECT_THAT(refusal("score=median"), HasSubstr("min|max|mean|pred|uniform"));
    EXPECT_THAT(refusal("loss=bce:score=uniform"), HasSubstr("loss=ce only"));
    EXPECT_THAT(refusal("loss=ce:margin=3"), HasSubstr("no option 'margin'"));
    EXPECT_THAT(refusal("form=original_single:layers=layer1"), HasSubstr("last layer"));
    EXPECT_THAT(refusal("form=original_single:score=mean"), HasSubstr("one candidate"));
    EXPECT_THAT(refusal("layers=layer9"), HasSubstr("names no weight"));
    EXPECT_EQ(refusal("form=original_single:detector=cosine"), "");  // made; compute needs a fit
}

}  // namespace
}  // namespace gs::test
