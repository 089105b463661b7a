// Golden nets: the project's own (tests/golden/nets, every family, small) and, where ../shared is there,
// those of its golden folder. Both have the same keys, and beside them fp32_noise.json, what PyTorch's
// float32 run deviates from the float64 oracle.
#pragma once

#include <fstream>
#include <map>
#include <ostream>
#include <string>

#include "nets/net.h"
#include "tests/support/golden_file.h"
#include "tests/support/shared_dir.h"

namespace gs::test {

inline std::filesystem::path own_golden_dir() {
    return std::filesystem::path(GS_SOURCE_DIR) / "tests" / "golden" / "nets";
}

inline nlohmann::json read_json(const std::filesystem::path& path) {
    std::ifstream file(path);
    return nlohmann::json::parse(file);
}

struct GoldenCase {
    std::string name;
    bool shared = false;
    bool deep = false;  // full depth: ReLU kinks flip in float32, so gradients have wide tolerances

    std::filesystem::path folder() const { return shared ? *shared_dir() / "golden" : own_golden_dir(); }
    bool is_here() const { return !shared || shared_dir().has_value(); }
    friend void PrintTo(const GoldenCase& c, std::ostream* out) { *out << c.name; }
};

inline const std::vector<GoldenCase>& own_golden_nets() {
    static const std::vector<GoldenCase> cases = {{"bit"},           {"cifar_basic"},   {"cifar_bottleneck"},
                                                  {"cifar_openood"}, {"option_a"},      {"wrn"},
                                                  {"tv_basic"},      {"tv_bottleneck"}, {"mobilenet"}};
    return cases;
}

inline const std::vector<GoldenCase>& shared_golden_nets() {
    static const std::vector<GoldenCase> cases = {
        {"bit_small", true},      {"cifar_resnet_small", true},   {"wrn16_2", true},
        {"wrn40_2", true, true},  {"cifar_resnet34", true, true}, {"bit_r101x1", true, true},
        {"tv_resnet_tiny", true}, {"mobilenet_tiny", true}};
    return cases;
}

inline std::vector<GoldenCase> all_golden_nets() {
    std::vector<GoldenCase> cases = own_golden_nets();
    cases.insert(cases.end(), shared_golden_nets().begin(), shared_golden_nets().end());
    return cases;
}

class GoldenNet {
  public:
    explicit GoldenNet(const GoldenCase& which)
        : which_(which),
          file_(which.folder() / (which.name + ".safetensors")),
          noise_(read_json(which.folder() / "fp32_noise.json").at(which.name)) {
        const nlohmann::json published = read_json(own_golden_dir() / "shapes.json");
        TensorShapes shapes;
        if (published.contains(which.name)) shapes = published.at(which.name).get<TensorShapes>();
        if (!which.shared) shapes = file_.json("shapes").get<TensorShapes>();
        weights_ = file_.weights(shapes);
    }

    const GoldenFile& file() const { return file_; }
    const WeightFile& weights() const { return weights_; }
    Net build(Backend& backend) const { return build_net(backend, weights_); }
    ref::Tensor<float> input() const { return ref::cast<float>(file_.nhwc("input")); }

    // Ten times PyTorch's own float32 deviation, or the floor that golden/README.md suggests.
    double tolerance(const std::string& key, double floor, double floor_of_deep) const {
        const double smallest = which_.deep ? floor_of_deep : floor;
        if (!noise_.contains(key)) return smallest;
        return std::max(10 * noise_.at(key).at("max_rel_to_max").get<double>(), smallest);
    }

  private:
    GoldenCase which_;
    GoldenFile file_;
    nlohmann::json noise_;
    WeightFile weights_;
};

}  // namespace gs::test
