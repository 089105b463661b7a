// Two steps of every recipe against the float64 oracle's: losses, weights, running statistics. The second
// step is taken by a trainer of its own, restored from what the first gave.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"
#include "train/trainer.h"

namespace gs::test {
namespace {

using train::Array;

struct StepCase {
    std::string name, net;
    train::Loss loss;
    bool shared = false;
    friend void PrintTo(const StepCase& c, std::ostream* out) {
        *out << c.name << (c.shared ? " (shared)" : "");
    }
    GoldenCase golden(const std::string& file) const { return {file, shared}; }
};

std::vector<StepCase> cases(bool batch_norm = true) {
    const std::vector<StepCase> all = {{"flat_head", "bit_small", train::Loss::CrossEntropy},
                                       {"flat_all", "bit_small", train::Loss::CrossEntropy},
                                       {"group_head", "bit_small", train::Loss::GroupSoftmax},
                                       {"energy", "cifar_resnet_small", train::Loss::EnergyMargins},
                                       {"bce", "cifar_resnet_small", train::Loss::BinaryCrossEntropy},
                                       {"ce_cifar", "cifar_resnet_small", train::Loss::CrossEntropy}};
    std::vector<StepCase> twice;
    for (StepCase c : all) {
        c.shared = true;
        if (batch_norm || c.net == "bit_small") twice.push_back(c);
    }
    return twice;
}

class GoldenSteps : public testing::TestWithParam<StepCase> {
  protected:
    void SetUp() override {
        if (!GetParam().golden("").is_here()) GTEST_SKIP() << "needs the folder ../shared, which is not here";
        steps_.emplace(GetParam().golden("").folder() / "train_steps.safetensors");
        net_.emplace(GetParam().golden(GetParam().net));
        images_ = net_->input();
        meta_ = steps_->json(GetParam().name);
    }

    bool is_bit() const { return GetParam().net.starts_with("bit"); }
    bool head_only() const { return GetParam().name.ends_with("_head"); }
    std::string key(const std::string& what) const { return GetParam().name + "/" + what; }

    train::Recipe recipe(size_t step) const {
        train::Recipe r;
        r.net = "auto";
        r.start = train::Start::Weights;
        r.loss = GetParam().loss;
        r.zero_head = head_only();
        r.open_blocks = head_only() ? 0 : -1;
        r.schedule = train::Schedule::Staircase;  // without drops
        r.learning_rate = meta_.at("lr").at(step);
        r.momentum = meta_.at("momentum");
        r.weight_decay = meta_.at("weight_decay");
        r.nesterov = meta_.at("nesterov");
        r.steps = 2;
        if (r.loss == train::Loss::GroupSoftmax) {
            r.groups = steps_->json("group_config").get<std::vector<int64_t>>();
            r.classes = 0;
            for (const int64_t classes : r.groups) r.classes += classes;
        }
        if (r.loss == train::Loss::EnergyMargins) {
            r.margin_in = steps_->json("energy_margin").at(0);
            r.margin_out = steps_->json("energy_margin").at(1);
        }
        return r;
    }

    // Flat labels; those of the groups come as one class a group, 0 for "others".
    std::vector<int64_t> labels() const {
        const std::vector<int64_t> stored = steps_->integers(key("labels"));
        if (GetParam().loss != train::Loss::GroupSoftmax) return stored;
        const auto groups = steps_->json("group_config").get<std::vector<int64_t>>();
        std::vector<int64_t> flat;
        for (size_t i = 0; i < stored.size(); i += groups.size()) {
            int64_t first = 0;
            for (size_t g = 0; g < groups.size(); first += groups[g++])
                if (stored[i + g] > 0) flat.push_back(first + stored[i + g] - 1);
        }
        return flat;
    }

    std::optional<train::Mixup> mixup(size_t step) const {
        if (!is_bit()) return std::nullopt;
        const auto all = steps_->json("mixup");
        return train::Mixup{all.at("lam").at(step), all.at("perm").at(step).get<std::vector<int64_t>>()};
    }

    // What both steps leave behind.
    struct Run {
        std::vector<double> loss;
        std::vector<Array> start, weights;
    };
    Run run(Backend& backend, const train::TrainerOptions& options = {}) const {
        Run result;
        std::vector<float> pixels = images_.values;
        if (steps_->has(key("aux_input"))) {
            const auto more = ref::cast<float>(steps_->nhwc(key("aux_input")));
            pixels.insert(pixels.end(), more.values.begin(), more.values.end());
        }
        const std::vector<int64_t> y = labels();
        const Shape& shape = images_.shape;
        std::vector<Array> momentum;
        for (size_t step = 0; step < 2; ++step) {
            train::Trainer trainer(backend, &net_->weights(), recipe(step), options);
            if (step == 0) result.start = trainer.weights();
            if (step == 1) trainer.restore(result.weights, momentum, 1);
            const auto n = static_cast<int64_t>(pixels.size()) / shape.per_sample();
            result.loss.push_back(trainer
                                      .step({.pixels = pixels,
                                             .n = n,
                                             .h = shape.h,
                                             .w = shape.w,
                                             .labels = y,
                                             .mixup = mixup(step)})
                                      .loss);
            result.weights = trainer.weights();
            momentum = trainer.optimiser_state();
        }
        return result;
    }

    // What the steps changed, against what the oracle's changed: a tolerance on the weights themselves would
    // hide a small update behind large weights.
    void expect_steps(const Run& got, bool exact) const {
        const std::vector<double> losses = steps_->doubles(key("loss"));
        for (size_t step = 0; step < 2; ++step)
            EXPECT_NEAR(got.loss[step], losses[step], (exact ? 1e-5 : 1e-4) * std::abs(losses[step]))
                << "step " << step;

        size_t compared = 0;
        for (size_t i = 0; i < got.weights.size(); ++i) {
            const Array &array = got.weights[i], &before = got.start[i];
            if (!steps_->has(key("after/" + array.name))) continue;
            const std::vector<double> after = steps_->doubles(key("after/" + array.name));
            ASSERT_EQ(after.size(), array.values.size()) << array.name;
            std::vector<double> want(after.size()), update(after.size());
            double largest = 0, rounding = 0;
            for (size_t k = 0; k < after.size(); ++k) {
                want[k] = after[k] - before.values[k];
                update[k] = static_cast<double>(array.values[k]) - before.values[k];
                largest = std::max(largest, std::abs(want[k]));
                rounding = std::max(rounding, std::abs(after[k]));
            }
            // golden/README.md: 1e-4 of the update; and the stored weights are rounded to float32, twice
            // here.
            const double tol = 1e-4 * largest + 1.5e-7 * rounding;
            for (size_t k = 0; exact && k < after.size(); ++k)
                ASSERT_NEAR(update[k], want[k], tol) << array.name << "[" << k << "]";
            if (!exact) expect_close_as_a_whole(array.name, update, want, 1.5e-7 * rounding);
            ++compared;
        }
        EXPECT_GE(compared, head_only() ? 2u : 10u);
    }

    // Mixed images have no margin to the ReLUs' kinks, and Winograd's convolutions err three times as much as
    // direct ones: there a mask flips, which moves a few values by some percent of the largest, and the whole
    // array by less than one.
    static void expect_close_as_a_whole(const std::string& name, const std::vector<double>& got,
                                        const std::vector<double>& want, double rounding) {
        double difference = 0, norm = 0;
        for (size_t k = 0; k < got.size(); ++k) {
            difference += (got[k] - want[k]) * (got[k] - want[k]);
            norm += want[k] * want[k];
        }
        EXPECT_LE(std::sqrt(difference),
                  1e-2 * std::sqrt(norm) + rounding * std::sqrt(static_cast<double>(got.size())))
            << name;
    }

    std::optional<GoldenFile> steps_;
    std::optional<GoldenNet> net_;
    ref::Tensor<float> images_;
    nlohmann::ordered_json meta_;
};

TEST_P(GoldenSteps, LossesAndUpdates) {
    for (const BackendUnderTest& b : backends_under_test()) {
        if (b.backend->map_type() != DType::F32) continue;
        SCOPED_TRACE(b.name);
        expect_steps(run(*b.backend), b.exact);
    }
}

// A batch that does not fit the memory comes in parts, but for batch norms.
class GoldenStepsInParts : public GoldenSteps {};

TEST_P(GoldenStepsInParts, LossesAndUpdates) {
    for (const BackendUnderTest& b : backends_under_test()) {
        if (b.backend->map_type() != DType::F32) continue;
        SCOPED_TRACE(b.name);
        expect_steps(run(*b.backend, {.memory_bytes = 1}), b.exact);
    }
}

std::string name_of_case(const testing::TestParamInfo<StepCase>& info) {
    return info.param.name + (info.param.shared ? "_shared" : "");
}
INSTANTIATE_TEST_SUITE_P(Steps, GoldenSteps, testing::ValuesIn(cases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Steps, GoldenStepsInParts, testing::ValuesIn(cases(false)), name_of_case);

}  // namespace
}  // namespace gs::test
