// KL matching: by its definition, its edges, and PyTorch's values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "scores/fit.h"
#include "scores/softmax.h"
#include "scores/statistics.h"
#include "tests/scores/reference_scores.h"
#include "tests/support/failure.h"
#include "tests/support/golden_file.h"
#include "tests/support/random.h"
#include "tests/support/shared_dir.h"

namespace gs::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Fixture {
    Net net;
    Preprocess preprocess;
    StatisticsStore store{"", {}};

    explicit Fixture(int64_t classes) { net.head.classes = classes; }
    std::unique_ptr<Fit> fit(const std::string& method = "klm") {
        return make_fit(parse_methods(method).at(0), {net, preprocess, &store});
    }
    std::unique_ptr<Score> score(const std::string& method = "klm") {
        return make_score(parse_methods(method).at(0), {net, preprocess, &store});
    }
    // Fitted on these rows, scores those.
    std::vector<double> scores(const Evidence& fitted, std::span<const int64_t> labels,
                               const Evidence& scored, const std::string& method = "klm") {
        const auto f = fit(method);
        f->add(fitted, labels);
        store.add(f->state());
        return computed(*score(method), scored);
    }
    static std::vector<double> computed(const Score& score, const Evidence& evidence) {
        std::vector<double> out(static_cast<size_t>(evidence.samples));
        score.compute(evidence, out);
        return out;
    }
};

Evidence logits_of(std::vector<float> values, int64_t classes) {
    const auto n = static_cast<int64_t>(values.size()) / classes;
    Evidence evidence;
    evidence.samples = n;
    evidence.logits = {n, classes, std::move(values)};
    return evidence;
}

Evidence random_logits(int64_t n, int64_t classes, uint64_t seed, double scale = 3) {
    SplitMix64 random(seed);
    std::vector<float> values;
    for (int64_t i = 0; i < n * classes; ++i)
        values.push_back(static_cast<float>(scale * (2 * random.uniform() - 1)));
    return logits_of(std::move(values), classes);
}

// By the definition, in long double from float32 probabilities; groups without rows are skipped.
std::vector<double> reference(const Evidence& fitted, std::span<const int64_t> groups,
                              const Evidence& scored) {
    const int64_t classes = fitted.logits.cols;
    const auto p_of = [](std::span<const float> z) {
        const std::vector<double> wide(z.begin(), z.end());
        std::vector<Real> p = softmax(wide, 1);
        for (Real& v : p) v = static_cast<float>(v);
        return p;
    };
    std::vector<double> out;
    for (int64_t n = 0; n < scored.samples; ++n) {
        const std::vector<Real> p = p_of(scored.logits.row(n));
        Real least = kInfinity;
        for (int64_t c = 0; c < classes; ++c) {
            std::vector<Real> q(p.size());
            int64_t count = 0;
            for (int64_t i = 0; i < fitted.samples; ++i) {
                if (groups[static_cast<size_t>(i)] != c) continue;
                const std::vector<Real> row = p_of(fitted.logits.row(i));
                for (size_t j = 0; j < q.size(); ++j) q[j] += row[j];
                ++count;
            }
            if (count == 0) continue;
            Real sum = 0;
            for (size_t j = 0; j < p.size(); ++j)
                if (p[j] != 0) sum += p[j] * std::log(p[j] / (q[j] / static_cast<Real>(count)));
            least = std::min(least, sum);
        }
        out.push_back(static_cast<double>(-least));
    }
    return out;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& want, double tolerance) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
        if (std::isinf(want[i]))
            EXPECT_EQ(got[i], want[i]) << i;
        else
            EXPECT_NEAR(got[i], want[i], tolerance * std::max(1.0, std::abs(want[i]))) << i;
    }
}

std::vector<int64_t> cyclic_labels(int64_t n, int64_t classes) {
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < n; ++i) labels.push_back(i % classes);
    return labels;
}

TEST(KlMatching, IsItsDefinition) {
    for (const int64_t classes : {1, 2, 7, 33}) {
        const Evidence fitted = random_logits(40, classes, 1), scored = random_logits(9, classes, 2);
        const auto labels = cyclic_labels(40, classes);
        // Float64 throughout: p log p and p log q are of order log C.
        expect_near(Fixture(classes).scores(fitted, labels, scored), reference(fitted, labels, scored),
                    1e-13);
    }
}

TEST(KlMatching, UnderflowAndEmptyClasses) {
    // Far-apart logits: probabilities that are 0 in float32, in rows and in templates.
    const Evidence fitted = random_logits(5, 6, 3, 100), scored = random_logits(40, 6, 4, 100);
    const auto labels = cyclic_labels(5, 5);  // class 5 is never there
    const auto want = reference(fitted, labels, scored);
    EXPECT_GT(std::count(want.begin(), want.end(), -kInfinity), 0);
    EXPECT_LT(std::count(want.begin(), want.end(), -kInfinity), 40);
    expect_near(Fixture(6).scores(fitted, labels, scored), want, 1e-13);
}

TEST(KlMatching, AnImageLikeItsTemplateKeepsItsDigits) {
    // One image a class: the image itself has divergence 0, and one next to it about d^2.
    const Evidence fitted = random_logits(5, 5, 6, 8);
    const auto labels = cyclic_labels(5, 5);
    for (const double s : Fixture(5).scores(fitted, labels, fitted)) EXPECT_EQ(s, 0);
    Evidence near = fitted;
    for (int64_t n = 0; n < 5; ++n) near.logits.values[static_cast<size_t>(5 * n + n)] += 1e-3f;
    const auto want = reference(fitted, labels, near);
    const auto got = Fixture(5).scores(fitted, labels, near);
    for (size_t n = 0; n < 5; ++n) EXPECT_NEAR(got[n], want[n], 1e-15) << "p is rounded to float32";
}

TEST(KlMatching, ByPredictedClassWithOneHotForTheRest) {
    const Evidence fitted = logits_of({3, 0, 0, 1, 2, 0, 4, 1, 0}, 3);  // predicted 0, 1, 0; 2 never
    const Evidence scored = logits_of({1, 1, 1, -200, -300, 50}, 3);
    const auto got = Fixture(3).scores(fitted, std::vector<int64_t>{-1, -1, -1}, scored, "klm:by=predicted");
    EXPECT_NEAR(got[0], reference(fitted, std::vector<int64_t>{0, 1, 0}, scored)[0], 1e-14)
        << "three positive probabilities rule the one-hot template out";
    EXPECT_EQ(got[1], 0) << "one-hot itself";
}

TEST(KlMatching, NotANumberStaysOne) {
    const Evidence fitted = random_logits(6, 3, 8);
    const auto got = Fixture(3).scores(fitted, cyclic_labels(6, 3), logits_of({1, NAN, 0}, 3));
    EXPECT_TRUE(std::isnan(got[0]));
}

TEST(KlMatching, ShardsAddUp) {
    const Evidence fitted = random_logits(24, 4, 9);
    const auto labels = cyclic_labels(24, 4);
    Fixture f(4);
    const auto whole = f.fit();
    whole->add(fitted, labels);
    std::vector<FitState> states;
    for (const auto& [first, last] : {std::pair<int64_t, int64_t>(0, 7), {7, 8}, {8, 24}}) {
        const auto part = f.fit();
        const std::span<const float> values(fitted.logits.values);
        const auto rows =
            values.subspan(static_cast<size_t>(4 * first), static_cast<size_t>(4 * (last - first)));
        part->add(logits_of({rows.begin(), rows.end()}, 4),
                  std::span(labels).subspan(static_cast<size_t>(first), static_cast<size_t>(last - first)));
        states.push_back(part->state());
    }
    states.push_back(f.fit()->state());  // a shard without any image
    const FitState merged = merge_states(states), all = whole->state();
    EXPECT_EQ(merged.options, all.options);
    EXPECT_EQ(merged.array("counts").values, all.array("counts").values);
    const auto& a = merged.array("sums").as<double>();
    const auto& b = all.array("sums").as<double>();
    for (size_t i = 0; i < a.size(); ++i)
        EXPECT_NEAR(a[i], b[i], 1e-14) << "sums of float64 in another order";
}

TEST(KlMatching, Refusals) {
    Fixture f(3);
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { f.score(); }), HasSubstr("needs a fit"));
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { f.fit("klm:stats=x"); }), HasSubstr("no option 'stats'"));
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { f.score("klm:by=x"); }), HasSubstr("label|predicted"));
    const auto refused_state = [&](const FitState& state) {
        return failure_of(ErrorKind::Data, [&] {
            Fixture other(3);
            other.store.add(state);
            other.score();
        });
    };
    EXPECT_THAT(refused_state(Fixture(4).fit()->state()), HasSubstr("4 classes, the net has 3"));
    FitState state = f.fit()->state();
    EXPECT_THAT(refused_state(state), HasSubstr("no image"));
    state.arrays.at("counts") = {{3}, std::vector<int64_t>{1, 1, -1}};
    EXPECT_THAT(refused_state(state), HasSubstr("negative"));
    state.arrays.at("counts") = {{2}, std::vector<int64_t>{1, 1}};
    EXPECT_THAT(refused_state(state), HasSubstr("do not agree"));
    state.arrays.at("counts") = {{3}, std::vector<double>{1, 1, 1}};
    EXPECT_THAT(refused_state(state), HasSubstr("another type"));
    state.arrays.erase("counts");
    EXPECT_THAT(refused_state(state), HasSubstr("'counts'"));
    Evidence one = random_logits(1, 3, 1);
    EXPECT_THAT(failure_of(ErrorKind::Data, [&] { f.fit()->add(one, std::vector<int64_t>{-1}); }),
                HasSubstr("no label"));
    EXPECT_THAT(failure_of(ErrorKind::Data, [&] { f.fit()->add(one, std::vector<int64_t>{3}); }),
                HasSubstr("label 3"));
}

TEST(KlMatching, WithoutStatisticsItCanBePlanned) {
    Fixture f(3);
    const auto score = make_score(parse_methods("klm").at(0), {f.net, f.preprocess});
    EXPECT_TRUE(score->request().logits);
    std::vector<double> out(1);
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { score->compute(random_logits(1, 3, 1), out); }),
                HasSubstr("fit"));
}

TEST(KlMatching, GoldenValues) {
    GS_SKIP_WITHOUT_SHARED();
    const GoldenFile golden(*shared_dir() / "golden/logits.safetensors");
    const Evidence all = logits_of(golden.floats("logits"), 20);
    const auto labels = golden.integers("labels");
    Fixture f(20);
    const auto got = f.scores(all, labels, all);

    const FitState& state = f.store.find(parse_methods("klm").at(0), "");
    const auto& sums = state.array("sums").as<double>();
    const auto& counts = state.array("counts").as<int64_t>();
    const auto want = golden.doubles("kl/template_f64");
    EXPECT_EQ(counts[19], 0);
    for (size_t i = 0; i < want.size(); ++i) {
        if (std::isnan(want[i]))
            EXPECT_EQ(counts[i / 20], 0);
        else  // float32 rows
            EXPECT_NEAR(sums[i] / static_cast<double>(counts[i / 20]), want[i], 6e-8);
    }
    // The published float32 path: its softmax and means round at 6e-8 of 1, the sum of 20 terms a little
    // more.
    expect_near(got, golden.doubles("score/kl_div_f32ref"), 2e-6);
    // In float64 nothing underflows that does in float32: rows of moderate logits agree.
    const auto exact = golden.doubles("score/kl_div_f64");
    int64_t compared = 0;
    for (size_t n = 0; n < got.size(); ++n) {
        const auto z = all.logits.row(static_cast<int64_t>(n));
        if (*std::max_element(z.begin(), z.end()) - *std::min_element(z.begin(), z.end()) > 60) continue;
        EXPECT_NEAR(got[n], exact[n], 1e-6 * std::max(1.0, std::abs(exact[n]))) << n;
        ++compared;
    }
    EXPECT_GT(compared, 40);
}

TEST(Klm, AnImageThatIsNotFiniteIsNotFittedOn) {
    Fixture f(3);
    const Evidence overflowed = logits_of({1, 2, 3, 1, std::numeric_limits<float>::infinity(), 3}, 3);
    const int64_t labels[] = {0, 1};
    EXPECT_THAT(failure_of(ErrorKind::Data, [&] { f.fit()->add(overflowed, labels); }),
                HasSubstr("not finite"));
}

}  // namespace
}  // namespace gs::test
