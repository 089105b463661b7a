// Golden nets: the project's own (tests/golden/nets, every family, small) and, where ../shared is there,
// those of its golden folder. Both have the same keys, and beside them fp32_noise.json, what PyTorch's
// float32 run deviates from the float64 oracle.
#pragma once

#include <map>
#include <ostream>
#include <string>

#include "nets/net.h"
#include "tests/support/golden_file.h"
#include "tests/support/shared_dir.h"

namespace gs::test {

std::filesystem::path own_golden_dir();

struct GoldenCase {
    std::string name;
    bool shared = false;
    bool deep = false;  // full depth: ReLU kinks flip in float32, so gradients have wide tolerances

    std::filesystem::path folder() const;
    bool is_here() const;
    friend void PrintTo(const GoldenCase& c, std::ostream* out) { *out << c.name; }
};

const std::vector<GoldenCase>& own_golden_nets();
const std::vector<GoldenCase>& shared_golden_nets();
std::vector<GoldenCase> all_golden_nets();

class GoldenNet {
  public:
    explicit GoldenNet(const GoldenCase& which);

    const GoldenFile& file() const { return file_; }
    const WeightFile& weights() const { return weights_; }
    Net build(Backend& backend) const { return build_net(backend, weights_); }
    ref::Tensor<float> input() const { return ref::cast<float>(file_.nhwc("input")); }

    // Ten times PyTorch's own float32 deviation, or the floor that golden/README.md suggests.
    double tolerance(const std::string& key, double floor, double floor_of_deep) const;

  private:
    GoldenCase which_;
    GoldenFile file_;
    std::map<std::string, double> noise_;  // max |deviation| / max |value|
    WeightFile weights_;
};

}  // namespace gs::test
