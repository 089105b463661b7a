#include "scores/nac_thresholds.h"

#include <algorithm>
#include <bit>
#include <string>

#include "core/error.h"

namespace gs {
namespace {

// torch.linspace(0, 1, m): float32, counted from both ends.
std::vector<double> even_thresholds(int64_t m) {
    const float step = 1.0F / static_cast<float>(m - 1);
    std::vector<double> values;
    for (int64_t i = 0; i < m; ++i)
        values.push_back(i < m / 2 ? step * static_cast<float>(i)
                                   : 1.0F - step * static_cast<float>(m - 1 - i));
    return values;
}

// log(x) / log(1000) over x in linspace(1, sqrt(1000), m / 2), mirrored at 1/2; the last one + 0.01,
// then 1.2.
std::vector<double> logarithmic_thresholds(int64_t m) {
    constexpr double kBase = 1e3;
    const int64_t n = m / 2;
    const double end = std::sqrt(kBase), step = (end - 1) / static_cast<double>(n - 1);
    std::vector<double> left;
    for (int64_t i = 0; i < n; ++i) {
        const double x = i + 1 < n ? static_cast<double>(i) * step + 1 : end;
        left.push_back(std::log(x) / std::log(kBase));
    }
    std::vector<double> values(left.begin(), left.end() - 1);
    for (auto l = left.rbegin(); l != left.rend(); ++l) values.push_back(1 - *l);
    values.back() += 1e-2;
    values.push_back(1.2);
    return values;
}

}  // namespace

NacThresholds::NacThresholds(NacVariant variant, int64_t m) {
    const bool v1 = variant == NacVariant::V1;
    if (m < (v1 ? 2 : 4) || m > kMost || (!v1 && m % 2 != 0))
        throw Error(ErrorKind::Usage, "nac: M=" + std::to_string(m) + " must be " +
                                          (v1 ? "2 to " : "even, 4 to ") + std::to_string(kMost) +
                                          " for variant=" + (v1 ? "v1" : "v15"));
    values_ = v1 ? even_thresholds(m) : logarithmic_thresholds(m);
    // The narrowest bins, those of v15 around 1/2, are 0.28 / M wide.
    const size_t cells = std::bit_ceil(static_cast<size_t>(4 * m));
    for (size_t cell = 0; cell <= cells; ++cell) {
        const double edge = static_cast<double>(cell) / static_cast<double>(cells);
        const auto above = std::upper_bound(values_.begin(), values_.end(), edge);
        first_.push_back(static_cast<uint32_t>(above - values_.begin() - 1));
    }
}

}  // namespace gs
