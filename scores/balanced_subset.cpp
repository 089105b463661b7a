#include "scores/balanced_subset.h"

#include <algorithm>
#include <bit>
#include <map>
#include <random>
#include <string>

#include "core/error.h"

namespace gs {
namespace {

// Uniform in [0, most] as numpy's legacy generator draws it.
size_t masked_rejection(std::mt19937& generator, size_t most) {
    const auto mask = static_cast<uint32_t>(std::bit_ceil(most + 1) - 1);
    size_t drawn = 0;
    do {
        drawn = generator() & mask;
    } while (drawn > most);
    return drawn;
}

}  // namespace

void numpy_shuffle(std::vector<int64_t>& items, uint32_t seed) {
    GS_REQUIRE(items.size() <= (size_t{1} << 31));  // numpy draws 64 bits beyond
    std::mt19937 generator(seed);
    for (size_t i = items.size(); i-- > 1;) std::swap(items[i], items[masked_rejection(generator, i)]);
}

std::vector<int64_t> balanced_subset(std::span<const int64_t> labels, int64_t images, uint32_t seed) {
    std::map<int64_t, std::vector<int64_t>> classes;
    for (size_t i = 0; i < labels.size(); ++i) {
        if (labels[i] < 0)
            throw Error(ErrorKind::Data,
                        "image " + std::to_string(i) +
                            " of the set has no label, which a subset balanced over the classes needs; use a "
                            "labelled set, or images=0 for all images");
        classes[labels[i]].push_back(static_cast<int64_t>(i));
    }
    if (classes.empty()) return {};
    const auto each = images / static_cast<int64_t>(classes.size());
    if (each == 0)
        throw Error(ErrorKind::Usage, "images=" + std::to_string(images) + " is fewer than the set's " +
                                          std::to_string(classes.size()) +
                                          " classes; use at least one image a class, or images=0 for all");
    size_t taken = static_cast<size_t>(each);
    for (const auto& [label, indices] : classes) taken = std::min(taken, indices.size());
    std::vector<int64_t> subset;
    for (auto& [label, indices] : classes) {
        numpy_shuffle(indices, seed);
        subset.insert(subset.end(), indices.begin(), indices.begin() + static_cast<std::ptrdiff_t>(taken));
    }
    std::sort(subset.begin(), subset.end());
    return subset;
}

}  // namespace gs
