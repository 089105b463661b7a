// Steps of every recipe against the float64 oracle's: losses, weights, running statistics. Each step is taken
// by a trainer of its own, restored from what the one before gave.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"
#include "train/trainer.h"

namespace gs::test {
namespace {

using train::Array;

struct StepCase {
    std::string name, net;
    train::Loss loss = train::Loss::CrossEntropy;
    bool shared = false;
    friend void PrintTo(const StepCase& c, std::ostream* out) {
        *out << c.name << (c.shared ? " (shared)" : "");
    }
    GoldenCase golden(const std::string& file) const { return {file, shared}; }
    bool is_bit() const { return net.starts_with("bit"); }
};

using train::Loss;
// The project's own (tests/golden/make_steps.py), and those of ../shared.
const StepCase kCases[] = {{"flat_head", "bit"},
                           {"flat_all", "bit"},
                           {"group_head", "bit", Loss::GroupSoftmax},
                           {"open_two", "bit"},
                           {"energy", "cifar_basic", Loss::EnergyMargins},
                           {"bce", "cifar_bottleneck", Loss::BinaryCrossEntropy},
                           {"smoothed", "tv_bottleneck"},
                           {"relu6", "mobilenet"},
                           {"ten_option_a", "option_a"},
                           {"ten_wrn", "wrn"},
                           {"flat_head", "bit_small", Loss::CrossEntropy, true},
                           {"flat_all", "bit_small", Loss::CrossEntropy, true},
                           {"group_head", "bit_small", Loss::GroupSoftmax, true},
                           {"energy", "cifar_resnet_small", Loss::EnergyMargins, true},
                           {"bce", "cifar_resnet_small", Loss::BinaryCrossEntropy, true},
                           {"ce_cifar", "cifar_resnet_small", Loss::CrossEntropy, true}};

std::vector<StepCase> bit_cases() {
    std::vector<StepCase> cases;
    std::copy_if(std::begin(kCases), std::end(kCases), std::back_inserter(cases),
                 [](const StepCase& c) { return c.is_bit(); });
    return cases;
}

class GoldenSteps : public testing::TestWithParam<StepCase> {
  protected:
    void SetUp() override {
        if (!GetParam().golden("").is_here()) GTEST_SKIP() << "needs the folder ../shared, which is not here";
        steps_.emplace(GetParam().golden("").folder() / "train_steps.safetensors");
        net_.emplace(GetParam().golden(GetParam().net));
        images_ = net_->input();
        meta_ = steps_->json(GetParam().name);
        for (float& value : images_.values) value *= meta_.value("scale", 1.0f);
    }

    bool head_only() const { return GetParam().name.ends_with("_head"); }
    std::string key(const std::string& what) const { return GetParam().name + "/" + what; }

    size_t steps() const { return meta_.at("lr").size(); }

    train::Recipe recipe(size_t step) const {
        train::Recipe r;
        r.net = "auto";
        r.start = train::Start::Weights;
        r.loss = GetParam().loss;
        r.zero_head = head_only();
        r.open_blocks = meta_.value("open_blocks", int64_t{head_only() ? 0 : -1});
        r.label_smoothing = meta_.value("label_smoothing", 0.0);
        r.classes = net_->file().shape("logits").at(1);
        r.schedule = train::Schedule::Staircase;  // without drops
        r.learning_rate = meta_.at("lr").at(step);
        r.momentum = meta_.at("momentum");
        r.weight_decay = meta_.at("weight_decay");
        r.nesterov = meta_.at("nesterov");
        r.steps = static_cast<int64_t>(steps());
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
        if (!GetParam().is_bit()) return std::nullopt;
        const auto all = steps_->json("mixup");
        return train::Mixup{all.at("lam").at(step), all.at("perm").at(step).get<std::vector<int64_t>>()};
    }

    // With the auxiliary images; the project's own are minus the labelled ones, in turn.
    std::vector<float> all_pixels() const {
        std::vector<float> pixels = images_.values, more;
        if (steps_->has(key("aux_input"))) more = ref::cast<float>(steps_->nhwc(key("aux_input"))).values;
        if (GetParam().loss == Loss::EnergyMargins && more.empty()) {
            more = images_.values;
            more.insert(more.end(), pixels.begin(), pixels.begin() + images_.shape.per_sample());
            for (float& value : more) value = -value;
        }
        pixels.insert(pixels.end(), more.begin(), more.end());
        return pixels;
    }

    // What the steps leave behind.
    struct Run {
        std::vector<double> loss;
        std::vector<Array> start, weights;
    };
    Run run(Backend& backend, const train::TrainerOptions& options = {}) const {
        Run result;
        const std::vector<float> pixels = all_pixels();
        const std::vector<int64_t> y = labels();
        const Shape& shape = images_.shape;
        std::vector<Array> momentum;
        for (size_t step = 0; step < steps(); ++step) {
            train::Trainer trainer(backend, &net_->weights(), recipe(step), options);
            if (step == 0) result.start = trainer.weights();
            if (step > 0) trainer.restore(result.weights, momentum, static_cast<int64_t>(step));
            const auto n = static_cast<int64_t>(pixels.size()) / shape.per_sample();
            result.loss.push_back(
                trainer.step({.pixels = pixels, .n = n, .h = shape.h, .w = shape.w, .labels = y}, mixup(step))
                    .loss);
            result.weights = trainer.weights();
            momentum = trainer.optimiser_state();
        }
        return result;
    }

    // Elements of a tensor after the steps: all of them, or some and the norm of the whole change.
    struct Oracle {
        std::vector<size_t> at;
        std::vector<double> after;
        std::optional<double> norm;
    };
    std::optional<Oracle> oracle(const Array& array) const {
        Oracle found;
        if (steps_->has(key("after/" + array.name))) {
            found.after = steps_->doubles(key("after/" + array.name));
            for (size_t k = 0; k < found.after.size(); ++k) found.at.push_back(k);
            return found;
        }
        if (GetParam().shared) return std::nullopt;
        const auto names = meta_.at("tensors").get<std::vector<std::string>>();
        const auto it = std::find(names.begin(), names.end(), array.name);
        if (it == names.end()) return std::nullopt;
        const std::vector<double> all = steps_->doubles(key("probes"));
        const size_t columns = all.size() / names.size(), probes = columns - 1;
        const auto row = all.begin() + (it - names.begin()) * static_cast<std::ptrdiff_t>(columns);
        for (size_t k = 0; k < probes; ++k) found.at.push_back(k * array.values.size() / probes);
        found.after.assign(row, row + static_cast<std::ptrdiff_t>(probes));
        found.norm = row[static_cast<std::ptrdiff_t>(probes)];
        return found;
    }

    // Mixed images have no margin to the ReLUs' kinks: there it is chance in which order a library adds that
    // keeps a mask.
    bool is_exact(const BackendUnderTest& b) const {
        return b.exact && !(b.name == "cpu-onednn" && mixup(0));
    }

    // What the steps changed, against what the oracle's changed: a tolerance on the weights themselves would
    // hide a small update behind large weights.
    void expect_steps(const Run& got, bool exact) const {
        const std::vector<double> losses = steps_->doubles(key("loss"));
        ASSERT_EQ(losses.size(), got.loss.size());
        for (size_t step = 0; step < losses.size(); ++step)
            EXPECT_NEAR(got.loss[step], losses[step], (exact ? 1e-5 : 1e-4) * std::abs(losses[step]))
                << "step " << step;

        size_t compared = 0;
        for (size_t i = 0; i < got.weights.size(); ++i) {
            const Array &array = got.weights[i], &before = got.start[i];
            const std::optional<Oracle> after = oracle(array);
            if (!after) {
                EXPECT_TRUE(GetParam().shared || array == before) << array.name << " does not learn";
                continue;
            }
            expect_update(array, before, *after, exact);
            ++compared;
        }
        EXPECT_GE(compared, head_only() ? 2u : 10u);
    }

    static void expect_update(const Array& array, const Array& before, const Oracle& oracle, bool exact) {
        std::vector<double> want, update;
        double largest = 0, rounding = 0, square = 0;
        for (size_t k = 0; k < array.values.size(); ++k) {
            const double d = static_cast<double>(array.values[k]) - before.values[k];
            largest = std::max(largest, std::abs(d));
            rounding = std::max(rounding, std::abs(static_cast<double>(array.values[k])));
            square += d * d;
        }
        for (size_t k = 0; k < oracle.at.size(); ++k) {
            want.push_back(oracle.after[k] - before.values[oracle.at[k]]);
            update.push_back(static_cast<double>(array.values[oracle.at[k]]) - before.values[oracle.at[k]]);
        }
        // golden/README.md: 1e-4 of the update; and the stored weights are rounded to float32, in every step.
        const double tol = 1e-4 * largest + 1.5e-7 * rounding;
        for (size_t k = 0; exact && k < want.size(); ++k)
            ASSERT_NEAR(update[k], want[k], tol) << array.name << "[" << oracle.at[k] << "]";
        const double root = std::sqrt(static_cast<double>(array.values.size()));
        if (oracle.norm) {
            EXPECT_NEAR(std::sqrt(square), *oracle.norm,
                        (exact ? 1e-4 : 1e-2) * *oracle.norm + 1.5e-7 * rounding * root)
                << array.name;
        }
        if (!exact && !oracle.norm) expect_close_as_a_whole(array.name, update, want, 1.5e-7 * rounding);
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
        expect_steps(run(*b.backend), is_exact(b));
    }
}

// A batch that does not fit the memory comes in parts, but for batch norms.
class GoldenStepsInParts : public GoldenSteps {};

TEST_P(GoldenStepsInParts, LossesAndUpdates) {
    for (const BackendUnderTest& b : backends_under_test()) {
        if (b.backend->map_type() != DType::F32) continue;
        SCOPED_TRACE(b.name);
        expect_steps(run(*b.backend, {.memory_bytes = 1}), is_exact(b));
    }
}

std::string name_of_case(const testing::TestParamInfo<StepCase>& info) {
    return info.param.name + (info.param.shared ? "_shared" : "");
}
INSTANTIATE_TEST_SUITE_P(Steps, GoldenSteps, testing::ValuesIn(kCases), name_of_case);
INSTANTIATE_TEST_SUITE_P(Steps, GoldenStepsInParts, testing::ValuesIn(bit_cases()), name_of_case);

}  // namespace
}  // namespace gs::test
