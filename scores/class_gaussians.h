// Gaussians of one tap's features, one a class, with a tied covariance: Mahalanobis distances in whitened
// coordinates y = (f - centre) A, where the precision is P = A A^T, so that a distance is a sum of squares
// and nothing cancels.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "passes/evidence.h"

namespace gs {

// A (dims,rank) of the pseudo-inverse P = A A^T of scatter / images: eigenvectors over the roots of their
// eigenvalues; those at most dims * 2^-52 of the largest are dropped (scipy.linalg.pinvh's rule in float64).
// Rank 0 where nothing varies.
struct Whitening {
    int64_t rank = 0;
    std::vector<double> matrix;  // [dims][rank]
};
Whitening whitening_of(std::span<const double> scatter, int64_t dims, int64_t images);

class ClassGaussians {
  public:
    // count [classes]: classes without images are left out; mean [classes][dims]; whitening [dims][rank].
    ClassGaussians(std::span<const int64_t> count, std::span<const double> mean,
                   std::vector<double> whitening, int64_t rank);

    int64_t dims() const { return static_cast<int64_t>(centre_.size()); }
    // Number of the classes that have images.
    int64_t classes() const { return static_cast<int64_t>(half_squares_.size()); }

    // max_c M_c of features (n, dims), one a row; M_c = -1/2 (f - mu_c)^T P (f - mu_c).
    std::vector<double> best_scores(const Matrix& features) const;
    // P (f - mu_c) of the class with the largest M_c: the gradient of its -M_c.
    void distance_gradient(std::span<const float> feature, std::span<float> gradient) const;

  private:
    int64_t rank_;
    std::vector<double> centre_;        // [dims]: the mean of all images
    std::vector<double> whitening_;     // [dims][rank]
    std::vector<double> class_means_;   // [classes][rank], whitened
    std::vector<double> half_squares_;  // [classes]: 1/2 |whitened mean|^2

    std::span<const double> class_mean(int64_t c) const;
    std::vector<double> whiten(std::span<const float> rows) const;  // [n][rank]
    // y m_c - 1/2 |m_c|^2: M_c up to a summand that is the same for all classes; [n][classes].
    std::vector<double> relative_scores(std::span<const double> whitened) const;
    int64_t nearest(std::span<const double> relative_scores) const;
};

}  // namespace gs
