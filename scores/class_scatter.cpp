#include "scores/class_scatter.h"

#include <cmath>

#include "core/error.h"
#include "scores/linear_algebra.h"

namespace gs {
namespace {

constexpr size_t kPanelRows = 256;  // a rank-256 update runs at the speed of a matrix product

}  // namespace

ClassScatter::ClassScatter(int64_t classes, int64_t dims)
    : dims_(dims),
      count_(static_cast<size_t>(classes)),
      mean_(static_cast<size_t>(classes * dims)),
      scatter_(static_cast<size_t>(dims * dims)) {}

ClassScatter::ClassScatter(std::vector<int64_t> count, std::vector<double> mean, std::vector<double> scatter)
    : dims_(static_cast<int64_t>(count.empty() ? 0 : mean.size() / count.size())),
      count_(std::move(count)),
      mean_(std::move(mean)),
      scatter_(std::move(scatter)) {
    GS_REQUIRE(static_cast<int64_t>(mean_.size()) == classes() * dims_);
    GS_REQUIRE(static_cast<int64_t>(scatter_.size()) == dims_ * dims_);
}

std::span<double> ClassScatter::mean_of(int64_t label) {
    return std::span(mean_).subspan(static_cast<size_t>(label * dims_), static_cast<size_t>(dims_));
}

void ClassScatter::add_square(std::span<const double> delta, double weight) {
    const double root = std::sqrt(weight);
    for (const double d : delta) panel_.push_back(root * d);
    if (panel_.size() < kPanelRows * delta.size()) return;
    add_gram_lower(scatter_, panel_, dims_);
    panel_.clear();
}

void ClassScatter::add(int64_t label, std::span<const float> x) {
    GS_REQUIRE(label >= 0 && label < classes() && static_cast<int64_t>(x.size()) == dims_);
    const std::span<double> mean = mean_of(label);
    const auto n = static_cast<double>(++count_[static_cast<size_t>(label)]);
    std::vector<double> delta(x.size());
    for (size_t i = 0; i < x.size(); ++i) delta[i] = x[i] - mean[i];
    if (n > 1) add_square(delta, (n - 1) / n);
    for (size_t i = 0; i < x.size(); ++i) mean[i] += delta[i] / n;
}

void ClassScatter::merge(const ClassScatter& other) {
    GS_REQUIRE(other.classes() == classes() && other.dims_ == dims_);
    std::vector<double> delta(static_cast<size_t>(dims_));
    for (int64_t c = 0; c < classes(); ++c) {
        const auto mine = static_cast<double>(count_[static_cast<size_t>(c)]);
        const auto theirs = static_cast<double>(other.count_[static_cast<size_t>(c)]);
        if (theirs == 0) continue;
        const std::span<double> mean = mean_of(c);
        const double* from = other.mean_.data() + c * dims_;
        for (size_t i = 0; i < delta.size(); ++i) delta[i] = from[i] - mean[i];
        if (mine > 0) add_square(delta, mine * theirs / (mine + theirs));
        for (size_t i = 0; i < delta.size(); ++i) mean[i] += delta[i] * (theirs / (mine + theirs));
        count_[static_cast<size_t>(c)] += other.count_[static_cast<size_t>(c)];
    }
    const std::vector<double> theirs = other.scatter();
    for (size_t i = 0; i < scatter_.size(); ++i) scatter_[i] += theirs[i];
}

std::vector<double> ClassScatter::scatter() const {
    std::vector<double> s = scatter_;
    add_gram_lower(s, panel_, dims_);
    mirror_lower(s, dims_);
    return s;
}

}  // namespace gs
