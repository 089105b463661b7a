#include "scores/klm_templates.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/sums.h"
#include "scores/softmax.h"

namespace gs {

std::vector<double> float32_softmax(std::span<const float> z) {
    const double lse = log_sum_exp(z);
    std::vector<double> p(z.size());
    for (size_t j = 0; j < z.size(); ++j) p[j] = static_cast<float>(std::exp(z[j] - lse));
    return p;
}

KlmSums::KlmSums(int64_t classes)
    : sums_(static_cast<size_t>(classes * classes)), counts_(static_cast<size_t>(classes)) {}

KlmSums::KlmSums(const FitState& state)
    : sums_(state.array("sums").as<double>()), counts_(state.array("counts").as<int64_t>()) {
    const auto c = static_cast<int64_t>(counts_.size());
    if (state.array("counts").shape != std::vector{c} || state.array("sums").shape != std::vector{c, c})
        throw Error(ErrorKind::Data, "statistics of 'klm': shapes of sums and counts do not agree");
}

void KlmSums::add(std::span<const float> z, int64_t group) {
    const std::vector<double> p = float32_softmax(z);
    double* sum = &sums_[static_cast<size_t>(group) * p.size()];
    for (size_t j = 0; j < p.size(); ++j) sum[j] += p[j];
    ++counts_[static_cast<size_t>(group)];
}

void KlmSums::add(const KlmSums& other) {
    if (other.counts_.size() != counts_.size())
        throw Error(ErrorKind::Data, "statistics of 'klm': shards of different numbers of classes");
    for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += other.sums_[i];
    for (size_t c = 0; c < counts_.size(); ++c) counts_[c] += other.counts_[c];
}

FitState KlmSums::state(const std::map<std::string, std::string>& options) const {
    return {.method = "klm",
            .options = options,
            .arrays = {{"sums", {{classes(), classes()}, sums_}}, {"counts", {{classes()}, counts_}}}};
}

std::span<const double> KlmSums::sum(int64_t group) const {
    return std::span(sums_).subspan(static_cast<size_t>(group) * counts_.size(), counts_.size());
}

KlmTemplates::KlmTemplates(const FitState& state, int64_t classes) {
    const KlmSums sums(state);
    if (sums.classes() != classes)
        throw Error(ErrorKind::Data, "statistics of 'klm': fitted for " + std::to_string(sums.classes()) +
                                         " classes, the net has " + std::to_string(classes));
    const auto by = state.options.find("by");
    const bool predicted = by != state.options.end() && by->second == "predicted";
    bool any = false;
    for (int64_t c = 0; c < classes; ++c) {
        const auto count = static_cast<double>(sums.count(c));
        if (sums.count(c) < 0) throw Error(ErrorKind::Data, "statistics of 'klm': a negative count");
        any = any || sums.count(c) > 0;
        if (sums.count(c) == 0 && !predicted) continue;
        Template t;
        for (int64_t j = 0; j < classes; ++j) {
            const double one_hot = j == c ? 1 : 0;
            const double q = sums.count(c) == 0 ? one_hot : sums.sum(c)[static_cast<size_t>(j)] / count;
            t.q.push_back(q);
            t.log_q.push_back(q > 0 ? std::log(q) : 0);
            if (!(q > 0)) t.zeros.push_back(static_cast<int32_t>(j));
        }
        templates_.push_back(std::move(t));
    }
    if (!any) throw Error(ErrorKind::Data, "statistics of 'klm': fitted on no image");
}

namespace {

double direct(std::span<const double> p, std::span<const double> q) {
    double sum = 0;
    for (size_t j = 0; j < p.size(); ++j)
        if (p[j] > 0) sum += p[j] * std::log(p[j] / q[j]);
    return sum;
}

}  // namespace

// sum p log p - p . log q_c: templates outside, images inside, so that each template comes from memory once a
// batch. Near p = q the difference cancels, so that the nearest class is summed again directly.
void KlmTemplates::score(const Matrix& logits, std::span<double> out) const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    struct Row {
        std::vector<double> p;
        double negative_entropy = 0, least = kInfinity;
        const Template* nearest = nullptr;
    };
    std::vector<Row> rows(out.size());
    for (size_t n = 0; n < rows.size(); ++n) {
        rows[n].p = float32_softmax(logits.row(static_cast<int64_t>(n)));
        for (const double p : rows[n].p)
            if (p != 0) rows[n].negative_entropy += p * std::log(p);
    }
    for (const Template& t : templates_)
        for (Row& row : rows) {
            const auto outside = [&](int32_t j) { return row.p[static_cast<size_t>(j)] > 0; };
            if (std::any_of(t.zeros.begin(), t.zeros.end(), outside)) continue;
            const double divergence = row.negative_entropy - lane_dot(row.p, t.log_q);
            if (!(divergence < row.least)) continue;
            row.least = divergence;
            row.nearest = &t;
        }
    for (size_t n = 0; n < rows.size(); ++n) {
        const Row& row = rows[n];
        out[n] = row.nearest != nullptr ? -direct(row.p, row.nearest->q) : -kInfinity;
        if (std::isnan(row.negative_entropy)) out[n] = row.negative_entropy;
    }
}

}  // namespace gs
