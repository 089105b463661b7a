// A subset of a labelled set with equally many images of every class, the same one that the published NAC
// code draws (ood_coverage nac/utils.py TrainSubset).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gs {

// numpy.random.RandomState(seed).shuffle(items): MT19937, numbers up to i by masked rejection, swaps from the
// end.
void numpy_shuffle(std::vector<int64_t>& items, uint32_t seed);

// floor(images / classes) images of each class, or as many as the smallest class has: the first ones of the
// class' indices shuffled with `seed`. Ascending indices. Classes are the labels that occur. Throws
// Error(Data) where a label is -1, Error(Usage) where there are fewer images than classes.
std::vector<int64_t> balanced_subset(std::span<const int64_t> labels, int64_t images, uint32_t seed);

}  // namespace gs
