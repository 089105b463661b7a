// Every convention against the published scripts' figures: FPR values exactly, areas to 1e-12.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "metrics/metrics.h"
#include "tests/support/json.h"
#include "tests/support/shared_dir.h"
#include "weights/weight_file.h"

namespace gs {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;
constexpr double kArea = 1e-12;

// Keys are checked to exist, so that a renamed figure cannot pass unnoticed.
void expect_golden(const DetectionMetrics& m, const Json& want, const char* textbook,
                   const char* openood_fpr) {
    const Json &measures = want.at("get_measures"), &cal = want.at("cal_metric"), &oo = want.at("openood");
    EXPECT_NEAR(m.auroc, measures.at("auroc").get<double>(), kArea);
    EXPECT_NEAR(m.auroc, oo.at("auroc").get<double>(), kArea);
    EXPECT_NEAR(m.aupr_in, measures.at("aupr_in").get<double>(), kArea);
    EXPECT_NEAR(m.aupr_out, measures.at("aupr_out").get<double>(), kArea);
    EXPECT_NEAR(m.aupr_in_openood, oo.at("aupr_in").get<double>(), kArea);
    EXPECT_NEAR(m.aupr_out_openood, oo.at("aupr_out").get<double>(), kArea);
    EXPECT_EQ(m.fpr95_closest, measures.at("fpr95_closest").get<double>());
    EXPECT_EQ(m.fpr95_first, measures.at(textbook).get<double>());
    EXPECT_EQ(m.fpr95_ood_positive, oo.at(openood_fpr).get<double>());
    const auto calibrated = [&](const char* lower, const char* upper) {
        return cal.contains(lower) ? cal.at(lower).get<double>() : cal.at(upper).get<double>();
    };
    EXPECT_NEAR(m.auroc, calibrated("auroc", "AUROC"), kArea);
    EXPECT_NEAR(m.dterr, calibrated("dterr", "DTERR"), kArea);
    EXPECT_NEAR(m.aupr_in_trapezoid, calibrated("auin", "AUIN"), kArea);
    EXPECT_NEAR(m.aupr_out_trapezoid, calibrated("auout", "AUOUT"), kArea);
    EXPECT_EQ(m.fpr95_threshold, calibrated("fpr", "FPR"));
}

std::vector<double> scores_of(const Json& list) {
    std::vector<double> scores;
    for (const Json& v : list) {
        const double sign = v == "-inf" ? -1 : 1;
        scores.push_back(v.is_string() ? sign * std::numeric_limits<double>::infinity() : v.get<double>());
    }
    return scores;
}

TEST(MetricsGolden, Case24_OwnCasesMeetEveryConvention) {
    const Json golden = test::read_json(fs::path(GS_SOURCE_DIR) / "tests/golden/metrics.json");
    ASSERT_EQ(golden.at("cases").size(), 18u);
    for (const auto& [name, want] : golden.at("cases").items()) {
        SCOPED_TRACE(name);
        const DetectionMetrics m = detection_metrics(scores_of(want.at("id")), scores_of(want.at("ood")));
        expect_golden(m, want, "fpr95_first", "fpr95");
        EXPECT_EQ(m.fpr95_ood_positive_closest,
                  want.at("outlier_exposure").at("fpr95_closest").get<double>());
    }
}

std::vector<double> f64_tensor(const WeightFile& file, const std::string& name) {
    const StoredTensor* tensor = file.find(name);
    if (tensor == nullptr || tensor->type != StoredType::F64 || !tensor->strides.empty()) {
        ADD_FAILURE() << file.path << ": " << name << " is no contiguous F64 tensor";
        return {};
    }
    std::vector<double> values(size_t(tensor->elements()));
    std::memcpy(values.data(), tensor->storage.data(), values.size() * sizeof(double));
    return values;
}

TEST(MetricsGolden, Case24_SharedCasesMeetEveryConvention) {
    GS_SKIP_WITHOUT_SHARED();
    const fs::path folder = *test::shared_dir() / "golden";
    const auto arrays = read_weights(folder / "metrics.safetensors");
    const Json golden = test::read_json(folder / "metrics.json");
    ASSERT_EQ(golden.size(), 14u);
    for (const auto& [name, want] : golden.items()) {
        SCOPED_TRACE(name);
        expect_golden(detection_metrics(f64_tensor(arrays, name + "/in"), f64_tensor(arrays, name + "/out")),
                      want, "fpr95_textbook", "fpr");
    }
}

// Scores of real nets on real images: the published method's figures come from float64 PyTorch and
// scikit-learn.
TEST(MetricsGolden, SharedScoresOfRealNetsGiveTheirTables) {
    GS_SKIP_WITHOUT_SHARED();
    const fs::path folder = *test::shared_dir() / "golden/real";
    int tables = 0;
    const Json golden = test::read_json(folder / "metrics.json");
    for (const auto& [net, of_net] : golden.items()) {
        const std::string id_set = net == "mobilenet_v2" ? "imagenet-sample" : "cifar10-490";
        const auto id = read_weights(folder / (net + "__" + id_set + ".safetensors"));
        for (const auto& [set, methods] : of_net.at("ood").items()) {
            const auto ood = read_weights(folder / (net + "__" + set + ".safetensors"));
            for (const auto& [method, want] : methods.items()) {
                SCOPED_TRACE(net + " " + set + " " + method);
                const auto m = detection_metrics(f64_tensor(id, method), f64_tensor(ood, method));
                EXPECT_NEAR(m.auroc, want.at("auroc").get<double>(), kArea);
                EXPECT_NEAR(m.aupr_in, want.at("aupr_in").get<double>(), kArea);
                EXPECT_NEAR(m.aupr_out, want.at("aupr_out").get<double>(), kArea);
                EXPECT_EQ(m.fpr95_closest, want.at("fpr95_closest").get<double>());
                EXPECT_EQ(m.fpr95_first, want.at("fpr95_first").get<double>());
                EXPECT_EQ(m.fpr95_threshold, want.at("fpr95_threshold").get<double>());
                EXPECT_EQ(m.fpr95_ood_positive, want.at("fpr95_ood_positive").get<double>());
                ++tables;
            }
        }
    }
    EXPECT_GE(tables, 25);
}

}  // namespace
}  // namespace gs
