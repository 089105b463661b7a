#include "scores/class_gaussians.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "scores/linear_algebra.h"

namespace gs {
namespace {

double half_square_distance(std::span<const double> a, std::span<const double> b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum / 2;
}

}  // namespace

Whitening whitening_of(std::span<const double> scatter, int64_t dims, int64_t images) {
    const SymmetricEigen eigen = symmetric_eigen(scatter, dims);
    const double cutoff = static_cast<double>(dims) * std::numeric_limits<double>::epsilon() *
                          std::max(eigen.values.back(), -eigen.values.front());
    const auto dropped = std::upper_bound(eigen.values.begin(), eigen.values.end(), cutoff);
    const auto first = static_cast<int64_t>(dropped - eigen.values.begin());
    Whitening whitening{.rank = dims - first, .matrix = {}};
    whitening.matrix.reserve(static_cast<size_t>(dims * whitening.rank));
    std::vector<double> scale(eigen.values.size());
    for (auto j = static_cast<size_t>(first); j < scale.size(); ++j)
        scale[j] = std::sqrt(static_cast<double>(images) / eigen.values[j]);
    for (int64_t i = 0; i < dims; ++i)
        for (int64_t j = first; j < dims; ++j)
            whitening.matrix.push_back(eigen.vectors[static_cast<size_t>(i * dims + j)] *
                                       scale[static_cast<size_t>(j)]);
    return whitening;
}

ClassGaussians::ClassGaussians(std::span<const int64_t> count, std::span<const double> mean,
                               std::vector<double> whitening, int64_t rank)
    : rank_(rank), whitening_(std::move(whitening)) {
    GS_REQUIRE(!count.empty() && rank > 0);
    const size_t dims = mean.size() / count.size();
    centre_.assign(dims, 0);
    int64_t images = 0;
    for (const int64_t n : count) images += n;
    std::vector<double> centred;  // means of the classes with images
    for (size_t c = 0; c < count.size(); ++c) {
        if (count[c] == 0) continue;
        const auto of_class = mean.subspan(c * dims, dims);
        centred.insert(centred.end(), of_class.begin(), of_class.end());
        const double share = static_cast<double>(count[c]) / static_cast<double>(images);
        for (size_t i = 0; i < dims; ++i) centre_[i] += share * of_class[i];
    }
    for (size_t i = 0; i < centred.size(); ++i) centred[i] -= centre_[i % dims];
    half_squares_.resize(centred.size() / dims);
    class_means_ = multiply(centred, whitening_, classes(), this->dims(), rank_);
    const std::vector<double> origin(static_cast<size_t>(rank_), 0);
    for (int64_t c = 0; c < classes(); ++c)
        half_squares_[static_cast<size_t>(c)] = half_square_distance(class_mean(c), origin);
}

std::span<const double> ClassGaussians::class_mean(int64_t c) const {
    return std::span(class_means_).subspan(static_cast<size_t>(c * rank_), static_cast<size_t>(rank_));
}

std::vector<double> ClassGaussians::whiten(std::span<const float> rows) const {
    const size_t d = centre_.size();
    std::vector<double> centred(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) centred[i] = rows[i] - centre_[i % d];
    return multiply(centred, whitening_, static_cast<int64_t>(rows.size() / d), dims(), rank_);
}

std::vector<double> ClassGaussians::relative_scores(std::span<const double> whitened) const {
    const auto n = static_cast<int64_t>(whitened.size()) / rank_;
    std::vector<double> scores = multiply_transposed(whitened, class_means_, n, rank_, classes());
    for (size_t i = 0; i < scores.size(); ++i) scores[i] -= half_squares_[i % half_squares_.size()];
    return scores;
}

int64_t ClassGaussians::nearest(std::span<const double> relative_scores) const {
    return std::max_element(relative_scores.begin(), relative_scores.end()) - relative_scores.begin();
}

// The class is found by a matrix product, its distance taken directly: the product's form cancels where a
// class is far from the centre and near the image.
std::vector<double> ClassGaussians::best_scores(const Matrix& features) const {
    GS_REQUIRE(features.cols == dims());
    const std::vector<double> whitened = whiten(features.values);
    const std::vector<double> relative = relative_scores(whitened);
    const auto c = static_cast<size_t>(classes()), r = static_cast<size_t>(rank_);
    std::vector<double> best;
    for (size_t n = 0; n < static_cast<size_t>(features.rows); ++n) {
        const int64_t winner = nearest(std::span(relative).subspan(n * c, c));
        best.push_back(-half_square_distance(std::span(whitened).subspan(n * r, r), class_mean(winner)));
    }
    return best;
}

void ClassGaussians::distance_gradient(std::span<const float> feature, std::span<float> gradient) const {
    GS_REQUIRE(static_cast<int64_t>(feature.size()) == dims() && gradient.size() == feature.size());
    std::vector<double> y = whiten(feature);
    const std::span<const double> mean = class_mean(nearest(relative_scores(y)));
    for (size_t i = 0; i < y.size(); ++i) y[i] -= mean[i];
    const std::vector<double> p = multiply(whitening_, y, dims(), rank_, 1);
    std::transform(p.begin(), p.end(), gradient.begin(), [](double v) { return static_cast<float>(v); });
}

}  // namespace gs
