#include "tests/support/golden_net.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/support/json.h"
#include "tests/support/shared_dir.h"

namespace gs::test {

std::filesystem::path own_golden_dir() {
    return std::filesystem::path(GS_SOURCE_DIR) / "tests" / "golden" / "nets";
}

std::filesystem::path GoldenCase::folder() const {
    return shared ? *shared_dir() / "golden" : own_golden_dir();
}

bool GoldenCase::is_here() const {
    return !shared || shared_dir().has_value();
}

const std::vector<GoldenCase>& own_golden_nets() {
    static const std::vector<GoldenCase> cases = {{"bit"},           {"cifar_basic"},   {"cifar_bottleneck"},
                                                  {"cifar_openood"}, {"option_a"},      {"wrn"},
                                                  {"tv_basic"},      {"tv_bottleneck"}, {"mobilenet"}};
    return cases;
}

const std::vector<GoldenCase>& shared_golden_nets() {
    static const std::vector<GoldenCase> cases = {
        {"bit_small", true},      {"cifar_resnet_small", true},   {"wrn16_2", true},
        {"wrn40_2", true, true},  {"cifar_resnet34", true, true}, {"bit_r101x1", true, true},
        {"tv_resnet_tiny", true}, {"mobilenet_tiny", true}};
    return cases;
}

std::vector<GoldenCase> all_golden_nets() {
    std::vector<GoldenCase> cases = own_golden_nets();
    cases.insert(cases.end(), shared_golden_nets().begin(), shared_golden_nets().end());
    return cases;
}

GoldenNet::GoldenNet(const GoldenCase& which)
    : which_(which), file_(which.folder() / (which.name + ".safetensors")) {
    const nlohmann::json noise = read_json(which.folder() / "fp32_noise.json");
    for (const auto& [key, deviation] : noise.at(which.name).items())
        noise_[key] = deviation.at("max_rel_to_max").get<double>();
    const nlohmann::json published = read_json(own_golden_dir() / "shapes.json");
    TensorShapes shapes;
    if (published.contains(which.name)) shapes = published.at(which.name).get<TensorShapes>();
    if (!which.shared) shapes = file_.json("shapes").get<TensorShapes>();
    weights_ = file_.weights(shapes);
}

double GoldenNet::tolerance(const std::string& key, double floor, double floor_of_deep) const {
    const double smallest = which_.deep ? floor_of_deep : floor;
    const auto found = noise_.find(key);
    return found == noise_.end() ? smallest : std::max(10 * found->second, smallest);
}

}  // namespace gs::test
