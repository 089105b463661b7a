// The parts of NAC by themselves: the published subset, the bins, options, and fits that are merged.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "core/join.h"
#include "core/numbers.h"
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
    const auto refusal = [](NacVariant variant, int64_t m) {
        return failure_of(ErrorKind::Usage, [&] { NacThresholds(variant, m); });
    };
    EXPECT_THAT(refusal(NacVariant::V15, 51), HasSubstr("M=51 must be even, 4 to 65536 for variant=v15"));
    EXPECT_THAT(refusal(NacVariant::V15, 2), HasSubstr("M=2 must be even, 4 to"));
    EXPECT_THAT(refusal(NacVariant::V1, 1), HasSubstr("M=1 must be 2 to 65536 for variant=v1"));
    EXPECT_THAT(refusal(NacVariant::V1, 65537), HasSubstr("M=65537 must be 2 to"));
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

Net mobilenet() {
    return tiny_net("mobilenet-v2", Family::MobileNetV2, 1000, {"features.0", "features.18"});
}

Net bit(const std::string& name) {
    return tiny_net(name, Family::ResNetV2, 1000, {"root", "block1", "block2"});
}

// v15: ood_coverage configs/postprocessors/nac/resnet, "layer_kwargs"; v1: README of commit 434ee7c.
TEST(NacOptions, DefaultsArePublishedOnes) {
    const auto constants = [](const std::string& method, const Net& net) {
        const auto options = resolved(method, net);
        EXPECT_EQ(options.at("constants"), "published") << net.name;
        return options.at("layers") + "|" + options.at("O") + "|" + options.at("M") + "|" +
               options.at("alpha");
    };
    EXPECT_EQ(constants("nac", resnet("resnet18-cifar", Family::CifarResNet, 10)),
              "avgpool+layer3+layer2+layer1|50+100+5+100|50+500+50+500|100+1000+0.001+0.001");
    EXPECT_EQ(constants("nac", resnet("resnet18-cifar", Family::CifarResNet, 100)),
              "avgpool+layer3+layer2+layer1|50+500+500+5|50+1000+50+50|50+10+1+0.005");
    EXPECT_EQ(constants("nac", resnet("resnet50", Family::ResNet, 1000)),
              "avgpool+layer3+layer2+layer1|10+500+50+5000|50+50+500+1000|3000+300+0.01+1");
    EXPECT_EQ(constants("nac:variant=v1", resnet("resnet50", Family::ResNet, 1000)), "avgpool|5|10000|1000");
    EXPECT_EQ(constants("nac:variant=v1", mobilenet()), "avgpool|1|30000|1000");
    EXPECT_EQ(constants("nac:variant=v1", bit("bit-r101x1")), "before_head|5|10000|1000");
}

// "postprocessor_sweep" of the same files, from avgpool to layer1, as options of the search are written.
TEST(NacOptions, SearchGridsArePublishedOnes) {
    const auto grids = [](const Net& net) {
        const NacDefaults defaults = nac_defaults(net, NacVariant::V15);
        const auto text = [&](auto values) {
            return join(defaults.grids, "+", [&](const NacGrid& grid) {
                return join(grid.*values, "/", [](auto value) { return shortest(value); });
            });
        };
        return text(&NacGrid::o) + "|" + text(&NacGrid::m) + "|" + text(&NacGrid::alpha);
    };
    EXPECT_EQ(grids(resnet("resnet18-cifar", Family::CifarResNet, 10)),
              "10/50+100+5/10+5/10/50/100|50+50/500+50+50/500|100+1000/5000+0.001+0.001/0.005");
    EXPECT_EQ(grids(resnet("resnet18-cifar", Family::CifarResNet, 100)),
              "50+500+100/500+5/50|50/500+50/500/1000+50/500+50|1/50+10/50/100+1+0.005");
    EXPECT_EQ(grids(resnet("resnet50", Family::ResNet, 1000)),
              "10/50/500+100/500+50/500+5000|50/500+50/500+500+500/1000|3000+50/100/300+0.01+0.1/1");
}

TEST(NacOptions, OtherNetsTakeTheNearestOnes) {
    const Net option_a = tiny_net("resnet56-cifar", Family::CifarOptionA, 10, {"layer1", "layer2", "layer3"});
    EXPECT_EQ(resolved("nac", option_a).at("layers"), "avgpool+layer2+layer1");
    EXPECT_EQ(resolved("nac", option_a).at("O"), "50+100+5");
    EXPECT_EQ(resolved("nac", option_a).at("constants"), "extension");
    const Net wide = tiny_net("wrn-40-2", Family::WideResNet, 100, {"block1", "block2", "block3"});
    EXPECT_EQ(resolved("nac", wide).at("layers"), "avgpool+block2+block1");
    EXPECT_EQ(resolved("nac", wide).at("alpha"), "50+10+1");
    EXPECT_EQ(resolved("nac", bit("bit-r50x1")).at("layers"), "before_head");
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

// random_evidence(), and three channels at the stages that are asked for.
Evidence evidence_for(const Request& request, int64_t samples, uint64_t seed) {
    Evidence evidence = random_evidence(samples, 3, seed);
    SplitMix64 random(seed + 100);
    const auto rows = [&] {
        Matrix m{samples, 3, {}};
        for (int64_t i = 0; i < samples * 3; ++i)
            m.values.push_back(static_cast<float>(4 * random.uniform() - 2));
        return m;
    };
    for (const TapReduction& tap : request.activations) evidence.activations[tap] = rows();
    for (const Backward& backward : request.backwards)
        for (const TapReduction& tap : backward.gradients)
            evidence.gradients[{backward.cotangent, tap}] = rows();
    return evidence;
}

TEST(Nac, ScoreOfLayersIsTheMeanOfTheirs) {
    const Net net = resnet("resnet18-cifar", Family::CifarResNet, 3);
    const std::string both = "nac:images=0:layers=avgpool+layer2:O=9+40:M=40+60:alpha=1.5+0.7";
    const Request request = make_score(parse_methods(both).at(0), {net, net.preprocess})->request();
    const Evidence build = evidence_for(request, 300, 1), test = evidence_for(request, 50, 2);
    const FitState state = fit(both, net, {build});
    const auto pooled = score("nac:layers=avgpool:O=9:M=40:alpha=1.5", net, state, test),
               stage = score("nac:layers=layer2:O=40:M=60:alpha=0.7", net, state, test);
    std::vector<double> mean;
    for (size_t n = 0; n < pooled.size(); ++n) mean.push_back((pooled[n] + stage[n]) / 2);
    EXPECT_GE(std::set(pooled.begin(), pooled.end()).size(), 5U);  // the comparison sees many values
    EXPECT_GE(std::set(stage.begin(), stage.end()).size(), 10U);
    const std::string turned = "nac:layers=layer2+avgpool:O=40+9:M=60+40:alpha=0.7+1.5";
    for (const std::string& method : {both, turned}) {
        const auto got = score(method, net, state, test);
        for (size_t n = 0; n < got.size(); ++n) EXPECT_NEAR(got[n], mean[n], 1e-12) << method;  // rounding
    }
}

// Each layer has its own M and alpha in the fit, by its place there and not in the score.
TEST(Nac, HistogramsOfSeveralLayersServeEachByItself) {
    const Net net = resnet("resnet18-cifar", Family::CifarResNet, 3);
    const std::string both = "nac:layers=avgpool+layer2:O=9+5:M=50+500:alpha=1.5+0.7:keep=histogram";
    const Request request = make_score(parse_methods(both).at(0), {net, net.preprocess})->request();
    const Evidence build = evidence_for(request, 300, 1), test = evidence_for(request, 50, 2);
    const FitState state = fit(both, net, {build});
    for (const std::string single :
         {"nac:layers=layer2:O=5:M=500:alpha=0.7", "nac:layers=avgpool:O=9:M=50:alpha=1.5"})
        EXPECT_EQ(score(single, net, state, test),
                  score(single, net, fit(single + ":keep=histogram", net, {build}), test))
            << single;
    for (const std::string other : {"M=50:alpha=0.7", "M=500:alpha=1.5"})  // one of avgpool's
        EXPECT_THAT(
            failure_of(ErrorKind::Usage, [&] { score("nac:layers=layer2:O=5:" + other, net, state, test); }),
            HasSubstr("keep=states"))
            << other;
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
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { merge_states(other); }),
                HasSubstr("different options cannot be merged"));
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
