// The parts of NAC by themselves: the published subset, the bins, options, and fits that are merged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "core/join.h"
#include "scores/balanced_subset.h"
#include "scores/nac_coverage.h"
#include "scores/nac_options.h"
#include "scores/statistics.h"
#include "tests/support/failure.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<int64_t> shuffled(int64_t count, uint32_t seed) {
    std::vector<int64_t> items(static_cast<size_t>(count));
    std::iota(items.begin(), items.end(), 0);
    numpy_shuffle(items, seed);
    return items;
}

// Of numpy 2.4: numpy.random.RandomState(1).shuffle(list(range(n))).
TEST(BalancedSubset, ShufflesAsNumpyDoes) {
    EXPECT_THAT(shuffled(1, 1), ElementsAre(0));
    EXPECT_THAT(shuffled(2, 1), ElementsAre(0, 1));
    EXPECT_THAT(shuffled(5, 1), ElementsAre(2, 1, 4, 0, 3));
    EXPECT_THAT(shuffled(17, 1), ElementsAre(3, 13, 7, 2, 6, 10, 4, 1, 14, 0, 16, 15, 9, 8, 12, 11, 5));
    const std::vector<int64_t> many = shuffled(5000, 1);
    EXPECT_THAT(std::vector(many.begin(), many.begin() + 6), ElementsAre(2764, 4767, 3814, 3499, 2735, 3922));
    int64_t checksum = 0;
    for (size_t i = 0; i < many.size(); ++i) checksum += static_cast<int64_t>(i + 1) * many[i];
    EXPECT_EQ(checksum, 31335886487);
}

TEST(BalancedSubset, TakesEquallyManyOfEachClass) {
    // Class 7 at 0, 3, 6 … 27; class 2 at 1, 4 … 28; class 5 at 2, 5 … 29: each ten.
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < 30; ++i) labels.push_back(std::array{7, 2, 5}[static_cast<size_t>(i % 3)]);
    // RandomState(1).shuffle(range(10)) begins 2, 9, 6; 11 images: three of each class, rounded down.
    EXPECT_THAT(balanced_subset(labels, 11, 1), ElementsAre(6, 7, 8, 18, 19, 20, 27, 28, 29));
    EXPECT_EQ(balanced_subset(labels, 1000, 1).size(), 30U);
    labels.push_back(9);  // the smallest class has one image
    EXPECT_THAT(balanced_subset(labels, 1000, 1), ElementsAre(6, 7, 8, 30));
}

TEST(BalancedSubset, SaysWhatItNeeds) {
    EXPECT_THAT(failure_of(ErrorKind::Data,
                           [] {
                               balanced_subset(std::vector<int64_t>{0, -1}, 2, 1);
                           }),
                HasSubstr("images=0"));
    EXPECT_THAT(failure_of(ErrorKind::Usage,
                           [] {
                               balanced_subset(std::vector<int64_t>{0, 1, 2}, 2, 1);
                           }),
                HasSubstr("fewer than the set's 3 classes"));
}

// The definition: b with th[b] <= state < th[b + 1].
int64_t bin_by_search(std::span<const double> thresholds, float state) {
    for (size_t b = 0; b + 1 < thresholds.size(); ++b)
        if (thresholds[b] <= state && state < thresholds[b + 1]) return static_cast<int64_t>(b);
    return -1;
}

TEST(NacThresholds, BinsAreThoseOfTheDefinition) {
    SplitMix64 random(3);
    for (const NacVariant variant : {NacVariant::V1, NacVariant::V15})
        for (const int64_t m : {4, 6, 50, 500, 1000, 4096}) {
            const NacThresholds thresholds(variant, m);
            ASSERT_EQ(thresholds.bins(), m - 1);
            ASSERT_TRUE(std::is_sorted(thresholds.values().begin(), thresholds.values().end()));
            std::vector<float> states{0, 1, 0.5F, std::nextafter(1.0F, 0.0F), 1e-38F};
            for (const double edge : thresholds.values()) {
                const auto v = static_cast<float>(edge);
                states.insert(states.end(), {v, std::nextafter(v, 0.0F), std::nextafter(v, 2.0F)});
            }
            for (int i = 0; i < 200; ++i) states.push_back(static_cast<float>(random.uniform()));
            std::erase_if(states, [](float state) { return state < 0 || state > 1; });
            for (const float state : states)
                ASSERT_EQ(thresholds.bin(state), bin_by_search(thresholds.values(), state))
                    << m << " " << state;
        }
}

TEST(NacThresholds, OnesLieOutsideOfV1Only) {
    EXPECT_EQ(NacThresholds(NacVariant::V1, 50).bin(1), -1);
    EXPECT_EQ(NacThresholds(NacVariant::V1, 50).bin(0), 0);
    EXPECT_EQ(NacThresholds(NacVariant::V15, 50).bin(1), 47);
    EXPECT_EQ(NacThresholds(NacVariant::V15, 50).bin(std::nanf("")), -1);
    EXPECT_EQ(nac_state(0.0167F, 1000), 1.0F);  // exp(-16.7) < 2^-24 is lost beside 1
    EXPECT_LT(nac_state(0.0165F, 1000), 1.0F);
    EXPECT_EQ(nac_state(0, 1e30), 0.5F);
    EXPECT_EQ(nac_state(-1e30F, 1e30), 0.0F);  // exp overflows to infinity
}

TEST(NacThresholds, RefuseOddAndSmallCounts) {
    EXPECT_THROW(NacThresholds(NacVariant::V15, 51), Error);
    EXPECT_THROW(NacThresholds(NacVariant::V15, 2), Error);
    EXPECT_THROW(NacThresholds(NacVariant::V1, 1), Error);
    EXPECT_THROW(NacThresholds(NacVariant::V1, 65537), Error);
    EXPECT_EQ(NacThresholds(NacVariant::V1, 51).bins(), 50);
}

// A net by its names only: two features, two classes, KL's gradient W^T (p - 1/2).
Net tiny_net(const std::string& name, Family family, int64_t classes, std::vector<std::string> stages) {
    Net net;
    net.architecture.family = family;
    net.name = name;
    net.stages = std::move(stages);
    net.pooled = family == Family::ResNetV2 ? "before_head" : "avgpool";
    for (const std::string& tap : net.stages) net.taps[tap] = {};
    net.taps[net.pooled] = {};
    net.head = {.classes = classes, .features = 2, .weight = {}, .bias = {}};
    for (int64_t i = 0; i < classes * 2; ++i) net.head.weight.push_back(static_cast<float>(i % 5) - 2);
    return net;
}

Net resnet(const std::string& name, Family family, int64_t classes) {
    return tiny_net(name, family, classes, {"layer1", "layer2", "layer3", "layer4"});
}

std::map<std::string, std::string> resolved(const std::string& method, const Net& net) {
    return make_score(parse_methods(method).at(0), {net, net.preprocess})->options();
}

TEST(NacOptions, DefaultsArePublishedOnes) {
    const auto cifar = resolved("nac", resnet("resnet18-cifar", Family::CifarResNet, 10));
    EXPECT_EQ(cifar.at("layers"), "avgpool+layer3+layer2+layer1");
    EXPECT_EQ(cifar.at("O"), "50+100+5+100");
    EXPECT_EQ(cifar.at("M"), "50+500+50+500");
    EXPECT_EQ(cifar.at("alpha"), "100+1000+0.001+0.001");
    EXPECT_EQ(cifar.at("constants"), "published");
    EXPECT_EQ(resolved("nac", resnet("resnet18-cifar", Family::CifarResNet, 100)).at("O"), "50+500+500+5");
    EXPECT_EQ(resolved("nac", resnet("resnet50", Family::ResNet, 1000)).at("O"), "10+500+50+5000");
    const auto v1 = resolved("nac:variant=v1", resnet("resnet50", Family::ResNet, 1000));
    EXPECT_EQ(v1.at("layers") + ":" + v1.at("O") + ":" + v1.at("M"), "avgpool:5:10000");
    const Net mobilenet = tiny_net("mobilenet-v2", Family::MobileNetV2, 1000, {"features.0", "features.18"});
    EXPECT_EQ(resolved("nac:variant=v1", mobilenet).at("M"), "30000");
    const Net bit = tiny_net("bit-r101x1", Family::ResNetV2, 1000, {"root", "block1", "block2"});
    EXPECT_EQ(resolved("nac:variant=v1", bit).at("layers"), "before_head");
    EXPECT_EQ(resolved("nac:variant=v1", bit).at("constants"), "published");
}

TEST(NacOptions, OtherNetsTakeTheNearestOnes) {
    const Net option_a = tiny_net("resnet56-cifar", Family::CifarOptionA, 10, {"layer1", "layer2", "layer3"});
    EXPECT_EQ(resolved("nac", option_a).at("layers"), "avgpool+layer2+layer1");
    EXPECT_EQ(resolved("nac", option_a).at("O"), "50+100+5");
    EXPECT_EQ(resolved("nac", option_a).at("constants"), "extension");
    const Net wide = tiny_net("wrn-40-2", Family::WideResNet, 100, {"block1", "block2", "block3"});
    EXPECT_EQ(resolved("nac", wide).at("layers"), "avgpool+block2+block1");
    EXPECT_EQ(resolved("nac", wide).at("alpha"), "50+10+1");
    const Net bit = tiny_net("bit-r50x1", Family::ResNetV2, 1000, {"root", "block1", "block2"});
    EXPECT_EQ(resolved("nac", bit).at("layers"), "before_head");
    EXPECT_EQ(resolved("nac", resnet("resnet101", Family::ResNet, 1000)).at("constants"), "extension");
}

TEST(NacOptions, OneNumberStandsForAllLayers) {
    const Net net = resnet("resnet18-cifar", Family::CifarResNet, 10);
    const auto options = resolved("nac:layers=layer3+avgpool:O=7:alpha=1+2", net);
    EXPECT_EQ(options.at("O"), "7+7");
    EXPECT_EQ(options.at("M"), "500+50");  // still the published ones of these layers
    EXPECT_EQ(options.at("alpha"), "1+2");
    EXPECT_EQ(options.at("constants"), "given");
    EXPECT_EQ(resolved("nac:layers=layer3", net).at("constants"), "published");
}

TEST(NacOptions, WrongOnesAreSaidInOneLine) {
    const Net net = resnet("resnet18-cifar", Family::CifarResNet, 10);
    const auto complaint = [&](const std::string& method) {
        return failure_of(ErrorKind::Usage, [&] { resolved(method, net); });
    };
    EXPECT_THAT(complaint("nac:layers=layer9"), HasSubstr("no such layer"));
    EXPECT_THAT(complaint("nac:layers=layer3+layer3"), HasSubstr("twice"));
    EXPECT_THAT(complaint("nac:layers=layer4"), HasSubstr("give O, M and alpha"));
    EXPECT_THAT(complaint("nac:O=0"), HasSubstr("O=0 is not a whole number from 1"));
    EXPECT_THAT(complaint("nac:O=1.5"), HasSubstr("whole number"));
    EXPECT_THAT(complaint("nac:O=1+2"), HasSubstr("2 numbers for 4 layers"));
    EXPECT_THAT(complaint("nac:M=51"), HasSubstr("even"));
    EXPECT_THAT(complaint("nac:alpha=0"), HasSubstr("out of range"));
    EXPECT_THAT(complaint("nac:alpha=x"), HasSubstr("not a number"));
    EXPECT_THAT(complaint("nac:variant=v2"), HasSubstr("v15|v1"));
    EXPECT_THAT(complaint("nac:r=5"), HasSubstr("no option 'r'"));
}

// Evidence at the pooled features.
Evidence random_evidence(int64_t samples, int64_t classes, uint64_t seed) {
    SplitMix64 random(seed);
    Evidence evidence;
    evidence.samples = samples;
    evidence.logits = {samples, classes, {}};
    evidence.features = {samples, 2, {}};
    for (int64_t i = 0; i < samples * classes; ++i)
        evidence.logits.values.push_back(static_cast<float>(4 * random.uniform()));
    for (int64_t i = 0; i < samples * 2; ++i)
        evidence.features.values.push_back(static_cast<float>(random.uniform()));
    return evidence;
}

FitState fit(const std::string& method, const Net& net, const std::vector<Evidence>& batches) {
    const auto made = make_fit(parse_methods(method).at(0), {net, net.preprocess});
    for (const Evidence& batch : batches)
        made->add(batch, std::vector<int64_t>(static_cast<size_t>(batch.samples), -1));
    return made->state();
}

std::vector<double> score(const std::string& method, const Net& net, FitState state,
                          const Evidence& evidence) {
    StatisticsStore store("", {});
    store.add(std::move(state));
    std::vector<double> out(static_cast<size_t>(evidence.samples));
    make_score(parse_methods(method).at(0), {net, net.preprocess, &store})->compute(evidence, out);
    return out;
}

// The definition of the score of the pooled layer in plain loops.
double score_by_definition(const Net& net, const Evidence& build, const Evidence& test, int64_t n,
                           const NacThresholds& thresholds, double o, double alpha) {
    const auto state = [&](const Evidence& e, int64_t sample, int64_t d) {
        double sum = 0, g = 0;
        for (const float z : e.logits.row(sample)) sum += std::exp(z);
        for (int64_t c = 0; c < net.head.classes; ++c) {
            const double p = std::exp(e.logits.row(sample)[static_cast<size_t>(c)]) / sum;
            g += net.head.weight[static_cast<size_t>(c * 2 + d)] *
                 (p - 1 / static_cast<double>(net.head.classes));
        }
        return static_cast<float>(
            1 / (1 + std::exp(-alpha * e.features.row(sample)[static_cast<size_t>(d)] * g)));
    };
    double total = 0;
    for (int64_t d = 0; d < 2; ++d) {
        const int64_t b = bin_by_search(thresholds.values(), state(test, n, d));
        double t = 0;
        for (int64_t i = 0; i < build.samples && b >= 0; ++i)
            t += bin_by_search(thresholds.values(), state(build, i, d)) == b;
        total += std::min(t / o, 1.0) / 2;
    }
    return total;
}

TEST(Nac, ScoreIsItsDefinition) {
    const Net net = resnet("resnet18-cifar", Family::CifarResNet, 3);
    const Evidence build = random_evidence(300, 3, 1), test = random_evidence(50, 3, 2);
    for (const std::string variant : {"v1", "v15"}) {
        const std::string method = "nac:layers=avgpool:O=9:M=40:alpha=1.5:images=0:variant=" + variant;
        const auto got = score(method, net, fit(method, net, {build}), test);
        const NacThresholds thresholds(variant == "v1" ? NacVariant::V1 : NacVariant::V15, 40);
        std::set<double> seen;
        for (int64_t n = 0; n < test.samples; ++n) {
            EXPECT_NEAR(got[static_cast<size_t>(n)],
                        score_by_definition(net, build, test, n, thresholds, 9, 1.5), 1e-12);
            seen.insert(got[static_cast<size_t>(n)]);
        }
        EXPECT_GE(seen.size(), 10U);  // the comparison sees many values
    }
}

TEST(Nac, KeptHistogramsScoreAsKeptStatesDo) {
    const Net net = resnet("resnet18-cifar", Family::CifarResNet, 10);
    const Evidence build = random_evidence(200, 10, 1), test = random_evidence(30, 10, 2);
    const std::string method = "nac:layers=avgpool";
    const auto states = score(method, net, fit(method, net, {build}), test);
    const FitState kept = fit(method + ":keep=histogram", net, {build});
    EXPECT_EQ(score(method, net, kept, test), states);
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { score(method + ":alpha=3", net, kept, test); }),
                HasSubstr("keep=states"));
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { score(method + ":M=60", net, kept, test); }),
                HasSubstr("keep=states"));
    EXPECT_NE(score(method + ":O=1", net, kept, test), states);
}

void expect_same(const FitState& a, const FitState& b) {
    EXPECT_EQ(a.method, b.method);
    EXPECT_EQ(a.options, b.options);
    ASSERT_EQ(a.arrays.size(), b.arrays.size());
    for (const auto& [name, array] : a.arrays) {
        EXPECT_EQ(array.shape, b.array(name).shape) << name;
        EXPECT_EQ(array.as<float>(), b.array(name).as<float>()) << name;
    }
}

TEST(Nac, ShardsMergeToWhatTheWholeSetLeaves) {
    const Net net = resnet("resnet18-cifar", Family::CifarResNet, 10);
    const std::vector<Evidence> parts{random_evidence(7, 10, 1), random_evidence(1, 10, 2),
                                      random_evidence(12, 10, 3)};
    for (const std::string keep : {"states", "histogram"}) {
        const std::string method = "nac:layers=avgpool:keep=" + keep;
        const FitState whole = fit(method, net, parts);
        const std::vector<FitState> shards{fit(method, net, {parts[0]}), fit(method, net, {}),
                                           fit(method, net, {parts[1], parts[2]})};
        expect_same(merge_states(shards), whole);
        expect_same(merge_states(std::vector{shards[1], shards[0], shards[2]}), whole);
    }
    const std::vector<FitState> other{fit("nac:layers=avgpool", net, {}),
                                      fit("nac:layers=avgpool:images=0", net, {})};
    EXPECT_THROW(merge_states(other), Error);
}

TEST(Nac, SaysWhatTheStatisticsLack) {
    const Net net = resnet("resnet18-cifar", Family::CifarResNet, 10);
    const Evidence evidence = random_evidence(3, 10, 1);
    const FitState state = fit("nac:layers=avgpool", net, {evidence});
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { score("nac", net, state, evidence); }),
                HasSubstr("hold the layers avgpool, not 'layer3'"));
    FitState wrong = state;
    wrong.arrays["product/avgpool"] = {{1, 3}, std::vector<float>{1, 2, 3}};
    EXPECT_THAT(failure_of(ErrorKind::Data, [&] { score("nac:layers=avgpool", net, wrong, evidence); }),
                HasSubstr("another number of neurons"));
    wrong.arrays["product/avgpool"] = {{2, 2}, std::vector<float>{1, 2, 3}};
    EXPECT_THROW(score("nac:layers=avgpool", net, wrong, evidence), Error);
    EXPECT_THAT(
        failure_of(ErrorKind::Data,
                   [&] { score("nac:layers=avgpool", net, fit("nac:layers=avgpool", net, {}), evidence); }),
        HasSubstr("of no image"));
    // A plan needs no statistics, a score does.
    const auto unfitted = make_score(parse_methods("nac:layers=avgpool").at(0), {net, net.preprocess});
    EXPECT_TRUE(unfitted->request().features && unfitted->request().backwards.empty());
    std::vector<double> out(3);
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { unfitted->compute(evidence, out); }),
                HasSubstr("gradscore fit"));
}

TEST(Nac, AnImageThatIsNotFiniteIsNotFittedOn) {
    const Net net = resnet("resnet18-cifar", Family::CifarResNet, 10);
    Evidence evidence = random_evidence(3, 10, 1);
    evidence.features.values[2] = NAN;
    for (const std::string keep : {"states", "histogram"})
        EXPECT_THAT(
            failure_of(ErrorKind::Data, [&] { fit("nac:layers=avgpool:keep=" + keep, net, {evidence}); }),
            HasSubstr("not finite"));
}

TEST(Nac, FitSelectsTheBalancedSubset) {
    const Net net = resnet("resnet18-cifar", Family::CifarResNet, 10);
    const auto made = [&](const std::string& method) {
        return make_fit(parse_methods(method).at(0), {net, net.preprocess});
    };
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < 40; ++i) labels.push_back(i % 2);
    EXPECT_EQ(made("nac:images=6")->select(labels), balanced_subset(labels, 6, 1));
    EXPECT_EQ(made("nac:images=0")->select(labels), std::nullopt);
    EXPECT_THAT(failure_of(ErrorKind::Data, [&] { made("nac")->select(std::vector<int64_t>{-1}); }),
                HasSubstr("images=0"));
}

}  // namespace
}  // namespace gs::test
