// Oracle values: safetensors with the description of the run as JSON strings in the header
// (golden/README.md).
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tests/reference/tensor.h"
#include "weights/weight_file.h"

namespace gs::test {

using TensorShapes = std::map<std::string, std::vector<int64_t>>;

class GoldenFile {
  public:
    explicit GoldenFile(const std::filesystem::path& path) : file_(read_weights(path)) {}

    bool has(const std::string& name) const { return file_.find(name) != nullptr; }
    std::vector<int64_t> shape(const std::string& name) const { return tensor(name).shape; }
    std::vector<float> floats(const std::string& name) const { return to_float32(tensor(name)); }
    // Float64 as stored; float32 widened.
    std::vector<double> doubles(const std::string& name) const;
    std::vector<int64_t> integers(const std::string& name) const;
    std::vector<uint8_t> bytes(const std::string& name) const;
    // [N,C,H,W], [N,C] or [N] as (n,h,w,c); exact in double.
    ref::Tensor<double> nhwc(const std::string& name) const;

    // Metadata; json() keeps the order of objects, names() is a list of strings.
    std::string text(const std::string& key) const;
    std::vector<std::string> names(const std::string& key) const;
    nlohmann::ordered_json json(const std::string& key) const;

    // The net's weights in state-dict order, stored (`w/...`) or made by the recipe, verified against
    // weights_sha256. A recipe does not say shapes: `shapes` must, for every tensor that is not stored.
    WeightFile weights(const TensorShapes& shapes = {}) const;
    // What the recipe's law of a tensor gives for it, stored or not.
    std::vector<float> from_recipe(const std::string& name, const nlohmann::ordered_json& law,
                                   const TensorShapes& shapes) const;

  private:
    [[noreturn]] void complain(const std::string& what) const;
    const StoredTensor& tensor(const std::string& name) const;
    template <class T>
    std::vector<T> raw(const std::string& name, StoredType type) const;
    std::vector<int64_t> shape_of(const std::string& name, const TensorShapes& shapes) const;
    void verify(const WeightFile& net) const;

    WeightFile file_;
};

}  // namespace gs::test
