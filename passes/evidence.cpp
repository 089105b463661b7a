#include "passes/evidence.h"

namespace gs {
namespace {

template <class Map, class Key>
const Matrix& found(const Map& map, const Key& key) {
    const auto it = map.find(key);
    GS_REQUIRE(it != map.end() && "the plan did not collect what the score reads");
    return it->second;
}

}  // namespace

void Matrix::append(std::span<const float> more, int64_t columns) {
    GS_REQUIRE(columns > 0 && (rows == 0 || cols == columns));
    GS_REQUIRE(more.size() % static_cast<size_t>(columns) == 0);
    cols = columns;
    rows += static_cast<int64_t>(more.size()) / columns;
    values.insert(values.end(), more.begin(), more.end());
}

const Matrix& Evidence::activation(const TapReduction& reduction) const {
    return found(activations, reduction);
}

const Matrix& Evidence::gradient(const Cotangent& cotangent, const TapReduction& reduction) const {
    return found(gradients, std::pair(cotangent, reduction));
}

const Matrix& Evidence::weight_norms_of(const Cotangent& cotangent, const WeightNorm& norm) const {
    return found(weight_norms, std::pair(cotangent, norm));
}

double Evidence::weight_norm(const Cotangent& cotangent, const WeightNorm& norm, int64_t sample) const {
    return weight_norms_of(cotangent, norm).row(sample)[0];
}

const Matrix& Evidence::second(const Cotangent& cotangent, const SecondPass& pass) const {
    return found(second_passes, std::pair(cotangent, pass));
}

}  // namespace gs
