// Methods as written on the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "scores/fit.h"
#include "scores/options.h"
#include "scores/score.h"
#include "tests/support/backends.h"
#include "tests/support/failure.h"

namespace gs {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

std::unique_ptr<Score> made(const std::string& method, const Preprocess& preprocess = {}) {
    static const Net net{};
    return make_score(parse_methods(method).at(0), {net, preprocess});
}

std::string refusal(const std::string& list) {
    return test::failure_of(ErrorKind::Usage, [&] {
        for (const MethodSpec& spec : parse_methods(list)) made(spec.written);
    });
}

TEST(Methods, AListIsSplit) {
    const auto specs = parse_methods("msp,odin:temperature=10:epsilon=0.5,gradnorm:p=inf");
    ASSERT_EQ(specs.size(), 3u);
    EXPECT_EQ(specs[1].written, "odin:temperature=10:epsilon=0.5");
    EXPECT_EQ(specs[1].name, "odin");
    EXPECT_THAT(specs[1].options, UnorderedElementsAre(Pair("temperature", "10"), Pair("epsilon", "0.5")));
    EXPECT_THAT(specs[0].options, IsEmpty());
    EXPECT_EQ(parse_methods("odin:epsilon=1e-3")[0].options.at("epsilon"), "1e-3");
}

TEST(Methods, DefaultsAreFilledIn) {
    EXPECT_THAT(made("odin")->options(),
                UnorderedElementsAre(Pair("temperature", "1000"), Pair("epsilon", "0"), Pair("scale", "none"),
                                     Pair("form", "prob")));
    EXPECT_THAT(made("odin:epsilon=1.4e-3:scale=std")->options(),
                testing::IsSupersetOf({Pair("epsilon", "0.0014"), Pair("scale", "std")}));
    EXPECT_THAT(made("energy:temperature=2.50")->options(), ElementsAre(Pair("temperature", "2.5")));
    EXPECT_EQ(made("gradnorm:p=inf")->options().at("p"), "inf");
    EXPECT_EQ(made("gradnorm")->options().at("params"), "weights");
    EXPECT_THAT(made("maxlogit")->options(), IsEmpty());
}

TEST(Methods, EachAsksForWhatItReads) {
    for (const char* method : {"msp", "maxlogit", "energy", "odin", "odin:temperature=10"}) {
        const Request request = made(method)->request();
        EXPECT_TRUE(request.logits && !request.features && request.backwards.empty()) << method;
    }
    const Request gradnorm = made("gradnorm")->request();
    EXPECT_TRUE(gradnorm.logits && gradnorm.features && gradnorm.backwards.empty());

    Preprocess preprocess;
    preprocess.std = {0.25f, 0.5f, 0.125f};
    const Request odin = made("odin:temperature=10:epsilon=0.5:scale=std", preprocess)->request();
    ASSERT_EQ(odin.backwards.size(), 1u);
    EXPECT_EQ(odin.backwards[0].cotangent, (Cotangent{Cotangent::Kind::PredictedCrossEntropy, 10}));
    ASSERT_EQ(odin.backwards[0].second.size(), 1u);
    EXPECT_EQ(odin.backwards[0].second[0].epsilon, 0.5f);
    EXPECT_THAT(odin.backwards[0].second[0].scale, ElementsAre(0.25f, 0.5f, 0.125f));
    EXPECT_THAT(made("odin:epsilon=0.5:scale=original", preprocess)->request().backwards[0].second[0].scale,
                ElementsAre(63.0f / 255, 62.1f / 255, static_cast<float>(66.7 / 255)))
        << "whatever the net's preprocessing";
}

TEST(Methods, FaultsAreNamed) {
    EXPECT_THAT(refusal("mps"), AllOf(HasSubstr("no method 'mps'"), HasSubstr("msp, maxlogit, energy")));
    EXPECT_THAT(refusal("MSP"), HasSubstr("no method 'MSP'"));
    EXPECT_THAT(refusal(""), HasSubstr("empty name"));
    EXPECT_THAT(refusal("msp,"), HasSubstr("empty name"));
    EXPECT_THAT(refusal(",msp"), HasSubstr("empty name"));
    EXPECT_THAT(refusal(":p=1"), HasSubstr("empty name"));
    EXPECT_THAT(refusal("msp,energy,msp"), HasSubstr("'msp' twice"));
    EXPECT_EQ(refusal("energy,energy:temperature=1"), "no error") << "columns of different names";
    EXPECT_THAT(refusal("energy:temperature=1:temperature=2"), HasSubstr("'temperature' twice"));
    for (const char* malformed :
         {"energy:temperature", "energy:=1", "energy:temperature=", "energy:", "energy::temperature=1"})
        EXPECT_THAT(refusal(malformed), AllOf(HasSubstr(malformed), HasSubstr("KEY=VALUE")));
    EXPECT_THAT(refusal("msp:temperature=2"), AllOf(HasSubstr("no option 'temperature'"), HasSubstr("form")));
    EXPECT_THAT(refusal("maxlogit:x=1"), HasSubstr("takes none"));
    EXPECT_THAT(refusal("msp:form=logit"), HasSubstr("form=logit is not one of prob|log|f32"));
    EXPECT_THAT(refusal("gradnorm:params=bias"),
                HasSubstr("params=bias is not one of weights|weights+norm|all"));
    for (const char* bad : {"x", "1x", "1,5", "nan", "0x10", "--1", " 1"})
        EXPECT_NE(refusal(std::string("energy:temperature=") + bad), "no error") << bad;
    EXPECT_THAT(refusal("energy:temperature=1e400"), HasSubstr("not a number"));
    for (const char* out :
         {"energy:temperature=0", "energy:temperature=-1", "energy:temperature=inf", "gradnorm:p=0",
          "gradnorm:p=-2", "gradnorm:p=0.01", "gradnorm:p=5", "odin:epsilon=1e39", "odin:temperature=0",
          "odin:temperature=1e-50", "gradnorm:layers=all:temperature=1e-40"})
        EXPECT_THAT(refusal(out), HasSubstr("out of range")) << out;
    for (const char* out : {"odin:epsilon=-0.001", "odin:epsilon=inf"})
        EXPECT_THAT(refusal(out), HasSubstr("0 or more")) << out;
}

TEST(Methods, EveryOneIsDescribed) {
    for (const MethodDescription& method : method_descriptions()) {
        EXPECT_FALSE(method.summary.empty() || method.source.empty() || method.needs.empty()) << method.name;
        for (const auto& [option, meaning] : method.options)
            EXPECT_NE(meaning.find(';'), std::string::npos)
                << method.name << ": '" << option << "' gives its default, then its range";
    }
}

// What --list-methods says of defaults is what is taken, and it says no more and no less than there is.
TEST(Methods, DescriptionsAreOfWhatIsMade) {
    const auto backend = make_cpu_backend({.threads = 1});
    const Net net = build_random_net(*backend, "resnet8-cifar", 5, 1);
    const ScoreContext context{net, net.preprocess};
    // Where the name alone is not all: needed options, and those of other options' values. The last one is
    // that which can be fitted.
    const std::map<std::string, std::vector<std::string>> spellings = {
        {"mos", {"mos:groups=1+2"}},
        {"track",
         {"track", "track:loss=energy", "track:form=original_single",
          "track:form=original_single:detector=cosine"}}};
    // The command replaces the one; the other is there with a fit.
    const std::set<std::string> not_resolved = {"nac:search", "nac:stats"};
    const std::set<std::string> not_options = {"norms", "constants"};  // results.json: published, or ours
    int literals = 0;
    for (const MethodDescription& method : method_descriptions()) {
        SCOPED_TRACE(method.name);
        const auto found = spellings.find(method.name);
        const std::vector<std::string> written =
            found == spellings.end() ? std::vector{method.name} : found->second;
        std::map<std::string, std::string> resolved;
        for (const std::string& spelling : written)
            resolved.merge(make_score(parse_methods(spelling).at(0), context)->options());
        for (const auto& [option, meaning] : method.options) {
            if (not_resolved.contains(method.name + ":" + option)) continue;
            ASSERT_TRUE(resolved.contains(option)) << option;
            const std::string value = meaning.substr(0, meaning.find(';'));
            if (value.find(' ') == std::string::npos) {  // else it says in words where it comes from
                EXPECT_EQ(resolved.at(option), value) << option;
                ++literals;
            }
        }
        for (const auto& [option, value] : resolved)
            EXPECT_TRUE(not_options.contains(option) ||
                        std::any_of(method.options.begin(), method.options.end(),
                                    [&](const auto& described) { return described.first == option; }))
                << option;
        const MethodSpec last = parse_methods(written.back()).at(0);
        if (needs_fit(last)) {
            EXPECT_EQ(make_fit(last, context)->state().method, method.name);
        }
    }
    EXPECT_GE(literals, 20);
}

}  // namespace
}  // namespace gs
