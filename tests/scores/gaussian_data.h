// Features with labels and correlated channels for the tests of fits; flat and as rows.
#pragma once

#include <vector>

#include "passes/evidence.h"
#include "tests/reference/gaussians.h"
#include "tests/support/random.h"

namespace gs::test {

struct LabelledFeatures {
    Matrix features;
    std::vector<int64_t> labels;

    ref::Rows rows() const {
        ref::Rows rows;
        for (int64_t n = 0; n < features.rows; ++n) {
            const auto row = features.row(n);
            rows.emplace_back(row.begin(), row.end());
        }
        return rows;
    }
    // Images begin … end - 1.
    LabelledFeatures part(int64_t begin, int64_t end) const {
        LabelledFeatures part{.features = {.rows = end - begin, .cols = features.cols}, .labels = {}};
        const auto at = [&](int64_t n) { return features.values.begin() + n * features.cols; };
        part.features.values.assign(at(begin), at(end));
        part.labels.assign(labels.begin() + begin, labels.begin() + end);
        return part;
    }
};

// `rank` independent directions among the channels; classes `apart` from each other, all around `offset`.
inline LabelledFeatures labelled_features(int64_t images, int64_t dims, int64_t rank, int64_t classes,
                                          double apart, double offset, uint64_t seed) {
    SplitMix64 random(seed);
    std::vector<double> mixing(static_cast<size_t>(rank * dims)),
        centres(static_cast<size_t>(classes * dims));
    for (double& v : mixing) v = random.normal();
    for (double& v : centres) v = offset + apart * random.normal();
    LabelledFeatures data{.features = {.rows = images, .cols = dims}, .labels = {}};
    for (int64_t n = 0; n < images; ++n) {
        const int64_t label = random.integer(0, classes - 1);
        data.labels.push_back(label);
        std::vector<double> latent(static_cast<size_t>(rank));
        for (double& v : latent) v = random.normal();
        for (int64_t i = 0; i < dims; ++i) {
            double value = centres[static_cast<size_t>(label * dims + i)];
            for (int64_t r = 0; r < rank; ++r)
                value += latent[static_cast<size_t>(r)] * mixing[static_cast<size_t>(r * dims + i)];
            data.features.values.push_back(static_cast<float>(value));
        }
    }
    return data;
}

inline std::vector<double> flat(const ref::Rows& rows) {
    std::vector<double> values;
    for (const ref::Row& row : rows) values.insert(values.end(), row.begin(), row.end());
    return values;
}

}  // namespace gs::test
