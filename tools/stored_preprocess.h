// The preprocessing that weights were trained with, as their safetensors metadata hold it: under
// "preprocessing/" the values of --resize, --crop, --mean and --std.
#pragma once

#include <map>
#include <string>

#include "data/image.h"
#include "weights/weight_file.h"

namespace gs {

std::map<std::string, std::string> preprocess_metadata(const Preprocess& preprocess);
bool is_preprocess_metadata(const std::string& key);
// `fallback` with what the metadata say laid over it. Throws Error(Weights) for values that are none.
Preprocess stored_preprocess(const WeightFile& weights, const Preprocess& fallback);

// The flags that make `to` of `from`: "--resize 64x64 --mean 0.5,0.5,0.5"; "" where they are equal.
std::string flags_between(const Preprocess& from, const Preprocess& to);

}  // namespace gs
