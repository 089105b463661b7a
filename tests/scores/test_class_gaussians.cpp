// Sums of a fit, their merging, the pseudo-inverse and the distances, against plain loops and the oracle.
#include <gtest/gtest.h>

#include "scores/class_gaussians.h"
#include "scores/class_scatter.h"
#include "scores/linear_algebra.h"
#include "tests/scores/gaussian_data.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_file.h"
#include "tests/support/shared_dir.h"

namespace gs::test {
namespace {

ClassScatter sums_of(const LabelledFeatures& data, int64_t classes) {
    ClassScatter sums(classes, data.features.cols);
    for (int64_t n = 0; n < data.features.rows; ++n)
        sums.add(data.labels[static_cast<size_t>(n)], data.features.row(n));
    return sums;
}

int64_t images(const ClassScatter& sums) {
    int64_t n = 0;
    for (const int64_t count : sums.count()) n += count;
    return n;
}

Whitening whitening(const ClassScatter& sums) {
    return whitening_of(sums.scatter(), sums.dims(), images(sums));
}

ClassGaussians gaussians(const ClassScatter& sums) {
    const Whitening w = whitening(sums);
    return ClassGaussians(sums.count(), sums.mean(), w.matrix, w.rank);
}

std::vector<double> precision(const Whitening& w, int64_t dims) {
    return multiply_transposed(w.matrix, w.matrix, dims, w.rank, dims);
}

// 700 images: more than two panels of rank-one terms.
LabelledFeatures far_from_zero() {
    return labelled_features(700, 12, 12, 4, 3, 1e4, 1);
}

TEST(ClassScatter, IsTheTwoPassCovariance) {
    const LabelledFeatures data = far_from_zero();
    const ClassScatter sums = sums_of(data, 5);  // class 4 is empty
    const ref::TiedGaussians want = ref::tied_gaussians(data.rows(), data.labels, 5);
    EXPECT_EQ(sums.count(), want.count);
    EXPECT_EQ(sums.count()[4], 0);
    // Sums of squares of features near 1e4 would lose eight digits of these; differences lose none.
    expect_close("mean", sums.mean(), flat(want.mean), 1e-14);
    expect_close("scatter", sums.scatter(), flat(want.scatter), 1e-13);
}

TEST(ClassScatter, ShardsMergeToTheWhole) {
    const LabelledFeatures data = far_from_zero();
    const ClassScatter whole = sums_of(data, 4);
    ClassScatter merged = sums_of(data.part(0, 1), 4);  // classes that a shard lacks
    for (const auto& [begin, end] : {std::pair{1, 1}, {1, 3}, {3, 350}, {350, 700}})
        merged.merge(sums_of(data.part(begin, end), 4));
    EXPECT_EQ(merged.count(), whole.count());
    expect_close("mean", merged.mean(), whole.mean(), 1e-10);
    expect_close("scatter", merged.scatter(), whole.scatter(), 1e-10);
}

TEST(ClassScatter, StoredSumsGoOn) {
    const LabelledFeatures data = far_from_zero();
    const ClassScatter whole = sums_of(data, 4), first = sums_of(data.part(0, 300), 4);
    ClassScatter stored(first.count(), first.mean(), first.scatter());
    stored.merge(sums_of(data.part(300, 700), 4));
    expect_close("scatter", stored.scatter(), whole.scatter(), 1e-10);
}

TEST(Whitening, IsThePseudoInverse) {
    for (const int64_t rank : {12, 7}) {
        const LabelledFeatures data = labelled_features(40, 12, rank, 3, 1, 0, 2);
        const ClassScatter sums = sums_of(data, 3);
        ref::Rows covariance = ref::tied_gaussians(data.rows(), data.labels, 3).scatter;
        for (ref::Row& row : covariance)
            for (double& v : row) v /= 40;
        const Whitening w = whitening(sums);
        // Features are rounded to float32, so that the other directions vary by 1e-8 of the largest: 2e-16 of
        // its variance, where up to 3e-15 is dropped.
        EXPECT_EQ(w.rank, rank);
        const std::vector<double> p = precision(w, 12), s = flat(covariance);
        expect_close("precision", p, flat(ref::pseudo_inverse(covariance)), 1e-10);
        // Whatever is kept is inverted, and adds 1 to the trace. Conditions up to 2e3 times 2^-52.
        const std::vector<double> product = multiply(p, s, 12, 12, 12);
        expect_close("P S P", multiply(product, p, 12, 12, 12), p, 1e-10);
        double trace = 0;
        for (size_t i = 0; i < 12; ++i) trace += product[i * 13];
        EXPECT_NEAR(trace, static_cast<double>(rank), 1e-10);
    }
}

// Diagonal matrices, whose eigenvalues are exact: those of at most d * 2^-52 of the largest magnitude count
// as 0.
TEST(Whitening, TheCutoffIsRelativeToTheLargest) {
    const double cutoff = 4 * 0x1p-52;
    for (const double scale : {1.0, 1e9, 1e-9}) {
        std::vector<double> scatter(16);
        const auto rank = [&] { return whitening_of(scatter, 4, 10).rank; };
        scatter[0] = scale;
        scatter[5] = scale / 2;
        scatter[10] = scale * cutoff * 1.01;
        EXPECT_EQ(rank(), 3) << scale;
        scatter[10] = scale * cutoff * 0.99;
        EXPECT_EQ(rank(), 2) << scale;
        scatter[15] = -3 * scale;  // rounding may leave negative ones: dropped, however large
        scatter[10] = scale * cutoff * 2.9;
        EXPECT_EQ(rank(), 2) << scale;
    }
}

TEST(Whitening, DropsDirectionsWithoutVariance) {
    LabelledFeatures data = labelled_features(40, 6, 6, 2, 1, 0, 3);
    for (int64_t n = 0; n < 40; ++n)
        data.features.values[static_cast<size_t>(n * 6 + 2)] = 5;  // a dead channel
    EXPECT_EQ(whitening(sums_of(data, 2)).rank, 5);
    EXPECT_EQ(whitening(sums_of(labelled_features(4, 6, 6, 9, 1, 0, 4).part(0, 1), 9)).rank, 0);
}

TEST(Whitening, OfTheOracle) {
    GS_SKIP_WITHOUT_SHARED();
    const GoldenFile golden(*shared_dir() / "golden" / "mahalanobis_fit.safetensors");
    for (const std::string name : {"full_rank", "rank_deficient"}) {
        SCOPED_TRACE(name);
        LabelledFeatures data;
        data.features = {golden.shape(name + "/X")[0], golden.shape(name + "/X")[1],
                         golden.floats(name + "/X")};
        data.labels = golden.integers(name + "/labels");
        const int64_t classes = golden.shape(name + "/mean")[0], d = data.features.cols;
        const ClassScatter sums = sums_of(data, classes);
        expect_close("mean", sums.mean(), golden.doubles(name + "/mean"), 1e-13);
        std::vector<double> covariance = sums.scatter();
        for (double& v : covariance) v /= static_cast<double>(data.features.rows);
        expect_close("covariance", covariance, golden.doubles(name + "/cov"), 1e-12);
        const Whitening w = whitening(sums);
        EXPECT_EQ(w.rank, name == "full_rank" ? d : data.features.rows - classes);
        // Conditions of 1e2 to 1e4 times 2^-52.
        expect_close("precision", precision(w, d), golden.doubles(name + "/precision"), 1e-10);
    }
}

TEST(ClassGaussians, ScoresAndGradientsAreTheDefinition) {
    const int64_t d = 9, classes = 5;
    const LabelledFeatures data = labelled_features(120, d, d, classes - 1, 2, 100, 5);  // class 4 is empty
    const ClassGaussians model = gaussians(sums_of(data, classes));
    EXPECT_EQ(model.classes(), classes - 1);
    ref::TiedGaussians want = ref::tied_gaussians(data.rows(), data.labels, classes);
    for (ref::Row& row : want.scatter)
        for (double& v : row) v /= 120;
    const ref::Rows p = ref::pseudo_inverse(want.scatter);

    // Classes that overlap, far images and the origin.
    LabelledFeatures test = labelled_features(30, d, d, classes, 4, 100, 6);
    std::fill_n(test.features.values.begin(), d, 0.0f);
    std::vector<double> best;
    for (int64_t n = 0; n < 30; ++n) {
        const ref::Row x = test.rows()[static_cast<size_t>(n)];
        size_t nearest = 0;
        double score = -INFINITY;
        for (size_t c = 0; c + 1 < static_cast<size_t>(classes); ++c) {
            const double m = ref::half_distance_score(x, want.mean[c], p);
            if (m > score) nearest = c, score = m;
        }
        best.push_back(score);
        std::vector<double> gradient(static_cast<size_t>(d));
        for (size_t i = 0; i < gradient.size(); ++i)
            for (size_t j = 0; j < gradient.size(); ++j)
                gradient[i] += p[i][j] * (x[j] - want.mean[nearest][j]);
        std::vector<float> got(gradient.size(), NAN);
        model.distance_gradient(test.features.row(n), got);
        expect_close("gradient", got, gradient, 1e-6);  // rounded to float32
        EXPECT_NEAR(model.best_scores(test.part(n, n + 1).features)[0], score, 1e-9 * std::abs(score))
            << "one image alone is as in a batch";
    }
    expect_close("scores", model.best_scores(test.features), best, 1e-10);
}

// Near a class that is a million deviations from the rest, |y|^2 is 1e12 and the distance about 10: the
// expanded square would keep four digits.
TEST(ClassGaussians, DistancesDoNotCancel) {
    LabelledFeatures data = labelled_features(200, 4, 4, 2, 0, 0, 7);
    for (size_t n = 0; n < 200; ++n)
        if (data.labels[n] == 1) data.features.values[n * 4] += 0x1p20f;
    const ClassScatter sums = sums_of(data, 2);
    ref::TiedGaussians want = ref::tied_gaussians(data.rows(), data.labels, 2);
    for (ref::Row& row : want.scatter)
        for (double& v : row) v /= 200;
    const ref::Rows p = ref::pseudo_inverse(want.scatter);
    std::vector<double> best;
    for (size_t n = 0; n < 200; ++n)
        best.push_back(
            ref::half_distance_score(data.rows()[n], want.mean[static_cast<size_t>(data.labels[n])], p));
    expect_close("scores", gaussians(sums).best_scores(data.features), best, 1e-9);
}

}  // namespace
}  // namespace gs::test
