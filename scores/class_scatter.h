// Class means of one tap's features and the scatter of the features around them, in float64: the sufficient
// statistics of Gaussians with a tied covariance. Fed image by image, merged over shards, without a
// difference of large sums anywhere.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gs {

class ClassScatter {
  public:
    ClassScatter() = default;
    ClassScatter(int64_t classes, int64_t dims);
    // Of sums that were stored: count [classes], mean [classes][dims], scatter [dims][dims].
    ClassScatter(std::vector<int64_t> count, std::vector<double> mean, std::vector<double> scatter);

    int64_t classes() const { return static_cast<int64_t>(count_.size()); }
    int64_t dims() const { return dims_; }

    // One feature vector [dims] of a class. Welford: with the class' mean before it and n images after it,
    //   scatter += (n - 1) / n (x - mean)(x - mean)^T,   mean += (x - mean) / n.
    void add(int64_t label, std::span<const float> x);
    // Chan et al.: scatter += scatter' + sum_c n n' / (n + n') (mean' - mean)(mean' - mean)^T.
    void merge(const ClassScatter& other);

    const std::vector<int64_t>& count() const { return count_; }
    const std::vector<double>& mean() const { return mean_; }  // [classes][dims]; 0 for empty classes
    std::vector<double> scatter() const;                       // [dims][dims]: the tied covariance times N

  private:
    int64_t dims_ = 0;
    std::vector<int64_t> count_;
    std::vector<double> mean_;
    std::vector<double> scatter_;  // lower triangle, without the panel
    std::vector<double> panel_;    // vectors whose squares are still to be added, together

    std::span<double> mean_of(int64_t label);
    // scatter += weight delta delta^T, some time.
    void add_square(std::span<const double> delta, double weight);
};

}  // namespace gs
