// Per-sample norms of weight gradients as arrays of a run (arrays/<set>.safetensors): for every loss and
// exponent one float64 tensor [images][parameters][candidate classes], with the names of the parameters in
// the file's metadata.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nets/net.h"
#include "passes/evidence.h"
#include "weights/weight_file.h"

namespace gs {

struct NormArray {
    std::string name;                     // "norms/p2/cross entropy, T 1"
    std::vector<std::string> parameters;  // in the net's order
    std::vector<int64_t> classes;         // -1: of no class
    std::vector<int64_t> shape;
    std::vector<double> values;  // (sum |gradient|^p)^(1/p), or the largest |gradient|
};

// All weight norms of the evidence; parameters that not every class of a loss has are left out.
std::vector<NormArray> norm_arrays(const Evidence& evidence, const Net& net);
// {"parameters": […], "classes": […]}: what the metadata says of it, under its name.
std::string describe(const NormArray& array);

// The norms that `backwards` ask for from a file's arrays; nothing where one is missing, or where they ask
// for more than norms.
using WeightNorms = std::map<std::pair<Cotangent, WeightNorm>, Matrix>;
std::optional<WeightNorms> stored_norms(const WeightFile& file, const std::vector<Backward>& backwards);

}  // namespace gs
