// The Python version of CIFAR: a pickled dict with `data` (a numpy array uint8 [N, 3072]) and a list of
// labels.
#pragma once

#include "core/pickle.h"
#include "data/sets.h"

namespace gs::detail {

struct CifarPickle {
    pickle::Parsed parsed;            // owns what `data` may point into
    std::span<const std::byte> data;  // [labels.size()][3072]
    std::vector<int64_t> labels;
};

// `label_key`: "labels" (CIFAR-10) or "fine_labels". Labels are below `classes`. Throws Error(Data).
CifarPickle parse_cifar_pickle(std::span<const std::byte> file, const std::string& what,
                               const std::string& label_key, int64_t classes);

}  // namespace gs::detail
