// Mahalanobis' fit and score of a small net, through plan and executor, against plain loops.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "scores/mahalanobis_state.h"
#include "tests/reference/gaussians.h"
#include "tests/scores/mahalanobis_support.h"
#include "tests/support/expect_close.h"
#include "tests/support/failure.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A small net, seeded images and labels.
class SmallFit : public testing::Test {
  protected:
    static constexpr int64_t kImages = 40, kClasses = 4;
    SmallFit()
        : backend_(make_cpu_backend({.threads = 1})),
          net_(build_random_net(*backend_, "resnet8-cifar", kClasses, 1)),
          images_(random_tensor({kImages, 8, 8, 3}, Fill::Normal, 2)) {
        for (int64_t n = 0; n < kImages; ++n) labels_.push_back(n % 7 % kClasses);
        // Classes that differ: another brightness each.
        const auto per_image = static_cast<size_t>(images_.shape.per_sample());
        for (size_t i = 0; i < images_.values.size(); ++i)
            images_.values[i] += static_cast<float>(labels_[i / per_image]);
    }

    ref::Tensor<float> part(int64_t begin, int64_t end) const {
        ref::Tensor<float> part;
        part.shape = images_.shape;
        part.shape.n = end - begin;
        const auto at = [&](int64_t n) { return images_.values.begin() + n * images_.shape.per_sample(); };
        part.values.assign(at(begin), at(end));
        return part;
    }

    void feed(Fit& fit, int64_t begin, int64_t end) const {
        const ref::Tensor<float> x = part(begin, end);
        if (begin == end) return;
        fit.add(run(*backend_, net_, fit.request(), x),
                std::span(labels_).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
    }

    FitState fitted(const std::string& written, int64_t begin, int64_t end) const {
        const auto fit = make_fit(method(written), {net_, net_.preprocess});
        for (int64_t n = begin; n < end; n += 16) feed(*fit, n, std::min(n + 16, end));
        return fit->state();
    }

    std::vector<double> scores(const std::string& written, const FitState& state) const {
        return score(*backend_, net_, written, state, images_);
    }

    // What the state says of a layer, and each image's features there.
    ref::Rows features(const std::string& layer) const {
        const TapReduction mean{layer, Reduction::Mean};
        const Evidence evidence = run(*backend_, net_, {.activations = {mean}}, images_);
        ref::Rows rows;
        for (int64_t n = 0; n < kImages; ++n) {
            const auto row = evidence.activation(mean).row(n);
            rows.emplace_back(row.begin(), row.end());
        }
        return rows;
    }

    // The largest M_c of each image by the definition.
    std::vector<double> wanted(const std::string& layer) const {
        const ref::Rows x = features(layer);
        ref::TiedGaussians g = ref::tied_gaussians(x, labels_, kClasses);
        for (ref::Row& row : g.scatter)
            for (double& v : row) v /= kImages;
        const ref::Rows p = ref::pseudo_inverse(g.scatter);
        std::vector<double> best;
        for (const ref::Row& row : x) {
            double m = -INFINITY;
            for (const ref::Row& mean : g.mean) m = std::max(m, ref::half_distance_score(row, mean, p));
            best.push_back(m);
        }
        return best;
    }

    std::unique_ptr<Backend> backend_;
    Net net_;
    ref::Tensor<float> images_;
    std::vector<int64_t> labels_;
};

TEST_F(SmallFit, ScoresAreTheDefinition) {
    const FitState state = fitted("mahalanobis", 0, kImages);
    EXPECT_EQ(state.options.at("layers"), "layer1+layer2+layer3");
    std::vector<double> sum(kImages);
    for (const char* layer : {"layer1", "layer2"}) {
        const std::vector<double> want = wanted(layer);
        // Conditions up to 1e6 of these pseudo-inverses, times 2^-52.
        expect_close(layer,
                     scores("mahalanobis:combine=last",
                            fitted("mahalanobis:layers=" + std::string(layer), 0, kImages)),
                     want, 1e-8);
        for (size_t n = 0; n < sum.size(); ++n) sum[n] += want[n];
    }
    const FitState both = fitted("mahalanobis:layers=layer1+layer2", 0, kImages);
    expect_close("sum", scores("mahalanobis", both), sum, 1e-8);
    expect_close("last", scores("mahalanobis:combine=last", both), wanted("layer2"), 1e-8);
}

TEST_F(SmallFit, MdsIsTwiceTheDistanceAtThePooledFeatures) {
    const FitState mds = fitted("mahalanobis:form=mds", 0, kImages);
    EXPECT_EQ(mds.options.at("layers"), "avgpool");
    std::vector<double> want = wanted("avgpool");
    for (double& v : want) v *= 2;
    expect_close("mds", scores("mahalanobis:form=mds", mds), want, 1e-6);
}

TEST_F(SmallFit, ShardsMergeToTheWhole) {
    const FitState whole = fitted("mahalanobis", 0, kImages);
    const std::vector<FitState> shards = {fitted("mahalanobis", 0, 0), fitted("mahalanobis", 0, 3),
                                          fitted("mahalanobis", 3, 25), fitted("mahalanobis", 25, kImages)};
    const FitState merged = merge_states(shards);
    EXPECT_EQ(merged.options, whole.options);
    ASSERT_EQ(merged.arrays.size(), whole.arrays.size());
    EXPECT_EQ(merged.array("count").as<int64_t>(), whole.array("count").as<int64_t>());
    for (const auto& [name, array] : whole.arrays) {
        EXPECT_EQ(merged.array(name).shape, array.shape) << name;
        if (name != "count") expect_close(name, merged.array(name).as<double>(), array.as<double>(), 1e-10);
    }
}

TEST_F(SmallFit, CompleteStatesGiveTheSameBits) {
    FitState state = fitted("mahalanobis:layers=layer2", 0, kImages);
    const std::vector<double> derived = scores("mahalanobis", state);
    EXPECT_THAT(complete_state(state), testing::IsEmpty());
    EXPECT_EQ(scores("mahalanobis", state), derived);
    state.arrays.erase("layer2/scatter");
    EXPECT_EQ(scores("mahalanobis", state), derived) << "the scatter is not read again";
}

TEST_F(SmallFit, EmptyClassesAreSaid) {
    FitState state = fitted("mahalanobis:layers=layer1", 0, kImages);
    std::get<std::vector<int64_t>>(state.arrays["count"].values)[2] = 0;
    EXPECT_THAT(complete_state(state), testing::ElementsAre(HasSubstr("1 of 4 classes have no images")));
}

TEST_F(SmallFit, AStepRaisesTheScoreAndIsTakenPerLayer) {
    const FitState state = fitted("mahalanobis:layers=layer1+layer2", 0, kImages);
    const std::vector<double> still = scores("mahalanobis", state),
                              moved = scores("mahalanobis:eta=0.001", state);
    int higher = 0;
    for (size_t n = 0; n < kImages; ++n) higher += moved[n] > still[n] ? 1 : 0;
    EXPECT_GE(higher, kImages - 2) << "a small step towards the nearest class";
    const auto made = make_score(method("mahalanobis:eta=0.001"), {net_, net_.preprocess});
    const Request request = made->request();
    ASSERT_EQ(request.backwards.size(), 3u);
    for (const Backward& backward : request.backwards) {
        ASSERT_EQ(backward.second.size(), 1u);
        EXPECT_EQ(backward.second[0].tap, backward.cotangent.start());
        EXPECT_EQ(backward.second[0].epsilon, 0.001f);
    }
}

TEST_F(SmallFit, TunedValuesAreDefaultsAndOptionsWin) {
    FitState state = fitted("mahalanobis:layers=layer1+layer2", 0, kImages);
    const std::vector<double> first = scores("mahalanobis", fitted("mahalanobis:layers=layer1", 0, kImages));
    const std::vector<double> both = scores("mahalanobis", state);
    put_tuning(state, {.weight = {-0.5, -0.25}, .bias = 0.125, .eta = 0});
    std::vector<double> want;
    for (size_t n = 0; n < kImages; ++n)
        want.push_back(-1 / (1 + std::exp(-(-0.5 * first[n] - 0.25 * (both[n] - first[n]) + 0.125))));
    expect_close("logistic", scores("mahalanobis", state), want, 1e-10);
    EXPECT_EQ(scores("mahalanobis:combine=sum", state), both);

    StatisticsStore store("", computation_of(net_, net_.preprocess));
    put_tuning(state, {.weight = {-0.5, -0.25}, .bias = 0.125, .eta = 0.002});
    store.add(state);
    const auto options = make_score(method("mahalanobis"), {net_, net_.preprocess, &store})->options();
    EXPECT_EQ(options.at("eta"), "0.002");
    EXPECT_EQ(options.at("combine"), "logistic");
    EXPECT_EQ(options.at("layers"), "layer1+layer2");
    EXPECT_EQ(make_score(method("mahalanobis:eta=0"), {net_, net_.preprocess, &store})->options().at("eta"),
              "0");
}

TEST_F(SmallFit, WhatCannotBeFittedIsSaid) {
    const auto fit = make_fit(method("mahalanobis"), {net_, net_.preprocess});
    const auto message = [&](int64_t label, float feature) {
        Evidence evidence = run(*backend_, net_, fit->request(), part(0, 1));
        evidence.activations.at({"layer1", Reduction::Mean}).values[0] = feature;
        return failure_of(ErrorKind::Data, [&] { fit->add(evidence, std::span(&label, 1)); });
    };
    EXPECT_THAT(message(-1, 0), HasSubstr("no label"));
    EXPECT_THAT(message(kClasses, 0), HasSubstr("label 4 is no class of the net (0 to 3)"));
    EXPECT_THAT(message(0, NAN), AllOf(HasSubstr("layer1"), HasSubstr("not finite")));
    EXPECT_EQ(message(0, 0), "no error");
    EXPECT_THROW(put_whitenings(*std::make_unique<FitState>(fitted("mahalanobis", 0, 0))), Error)
        << "no images";
    EXPECT_THROW(scores("mahalanobis", fitted("mahalanobis", 0, 1)), Error) << "no variance";
}

TEST_F(SmallFit, BadOptionsAndArraysAreNamed) {
    const FitState good = fitted("mahalanobis:layers=layer1", 0, kImages);
    const auto made = [&](const std::string& written, const FitState& state) {
        return [this, written, state] { scores(written, state); };
    };
    using Kind = ErrorKind;
    EXPECT_THAT(failure_of(Kind::Usage, made("mahalanobis:eta=-1", good)), HasSubstr("eta=-1"));
    EXPECT_THAT(failure_of(Kind::Usage, made("mahalanobis:combine=max", good)),
                HasSubstr("logistic|sum|last"));
    EXPECT_THAT(failure_of(Kind::Usage, made("mahalanobis:combine=logistic", good)), HasSubstr("tuned"));
    EXPECT_THAT(failure_of(Kind::Usage, made("mahalanobis:layers=layer9", good)), HasSubstr("layer9"));
    EXPECT_THAT(failure_of(Kind::Usage, made("mahalanobis:layers=layer1+layer1", good)), HasSubstr("twice"));
    const auto broken = [&](const std::function<void(FitState&)>& edit) {
        FitState state = good;
        edit(state);
        return failure_of(Kind::Data, made("mahalanobis", state));
    };
    EXPECT_THAT(broken([](FitState& s) { s.arrays.erase("count"); }), HasSubstr("count"));
    EXPECT_THAT(broken([](FitState& s) {
                    s.arrays["count"].values = std::vector<int64_t>{1, 1, -1, 1};
                }),
                HasSubstr("count"));
    EXPECT_THAT(broken([](FitState& s) {
                    s.arrays["count"].values = std::vector<float>{1, 1, 1, 1};
                }),
                HasSubstr("type"));
    EXPECT_THAT(broken([](FitState& s) {
                    s.arrays["layer1/mean"].shape = {3, 16};
                }),
                HasSubstr("layer1/mean"));
    EXPECT_THAT(broken([](FitState& s) { s.arrays["layer1/scatter"].shape = {16}; }),
                HasSubstr("layer1/scatter"));
    EXPECT_THAT(broken([](FitState& s) {
                    std::get<std::vector<double>>(s.arrays["layer1/scatter"].values)[3] = NAN;
                }),
                AllOf(HasSubstr("layer1/scatter"), HasSubstr("not finite")));
    EXPECT_THAT(broken([](FitState& s) { put_tuning(s, {.weight = {1, 2}}); }), HasSubstr("tuned"));
    EXPECT_THAT(broken([](FitState& s) { put_tuning(s, {.weight = {1}, .eta = -1}); }), HasSubstr("tuned"));
    EXPECT_THAT(
        broken([](FitState& s) {
            s = {s.method, s.options, {}};
            put_scatter(s, "layer1", ClassScatter({5, 5, 5, 5}, std::vector<double>(8), {1, 0, 0, 1}));
        }),
        AllOf(HasSubstr("layer1 has 16 channels, not 2")));
}

TEST_F(SmallFit, WithoutStatisticsThereAreRequestsOnly) {
    const auto made = make_score(method("mahalanobis:layers=layer2"), {net_, net_.preprocess});
    const Request request = made->request();
    ASSERT_EQ(request.activations.size(), 1u);
    EXPECT_EQ(request.activations[0], (TapReduction{"layer2", Reduction::Mean}));
    const Evidence evidence = run(*backend_, net_, request, images_);
    std::vector<double> out(kImages);
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { made->compute(evidence, out); }), HasSubstr("--stats"));
}

TEST(MahalanobisLayersOfNets, AreStagesOrTheLastFeatureOfAResolution) {
    const auto backend = make_cpu_backend({.threads = 1});
    const auto layers = [&](const std::string& name, const std::string& written) {
        const Net net = build_random_net(*backend, name, 10, 1);
        return make_fit(method(written), {net, net.preprocess})->state().options.at("layers");
    };
    EXPECT_EQ(layers("mobilenet-v2", "mahalanobis"),
              "features.1+features.3+features.6+features.13+features.18");
    EXPECT_EQ(layers("wrn-16-2", "mahalanobis"), "block1+block2+block3");
    EXPECT_EQ(layers("wrn-16-2", "mahalanobis:form=mds"), "avgpool");
}

}  // namespace
}  // namespace gs::test
