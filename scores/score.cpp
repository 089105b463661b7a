#include "scores/score.h"

#include <limits>
#include <set>

#include "core/finite.h"
#include "core/join.h"
#include "scores/factories.h"
#include "scores/fit.h"
#include "scores/options.h"
#include "scores/weight_selection.h"

namespace gs {
namespace {

struct Method {
    MethodDescription description;
    std::unique_ptr<Score> (*make)(const MethodSpec&, const ScoreContext&);
    // Null for methods that are not fitted.
    std::unique_ptr<Fit> (*make_fit)(const MethodSpec&, const ScoreContext&) = nullptr;
    FitState (*merge)(std::span<const FitState>) = nullptr;
    // Null where the state is complete as it is.
    std::vector<std::string> (*complete)(FitState&) = nullptr;
};

const std::vector<Method>& methods() {
    static const std::vector<Method> table = {
        {{"msp",
          "largest softmax probability",
          "Hendrycks & Gimpel 2017",
          "one forward pass",
          {{"form",
            "prob; prob (float64) | log (no saturation, no ties) | f32 (float32 as in the published "
            "scripts)"}}},
         make_msp},
        {{"maxlogit", "largest logit", "Hendrycks et al. 2022", "one forward pass", {}}, make_max_logit},
        {{"energy",
          "T log sum exp(z / T)",
          "Liu et al. 2020",
          "one forward pass",
          {{"temperature", "1; T > 0"}}},
         make_energy},
        {{"odin",
          "largest softmax(z / T) after a step against the gradient of the predicted class",
          "Liang et al. 2018; gradnorm_ood test_ood.py",
          "one forward pass; with epsilon > 0 also a backward pass to the image and a second forward pass",
          {{"temperature", "1000; T > 0"},
           {"epsilon", "0; step in normalised units, >= 0"},
           {"scale",
            "none; none | std (step divided by each channel's std: OpenOOD 1.5) | original (by CIFAR-10's: "
            "ODIN, OpenOOD 1.0)"},
           {"form", "prob; prob (float64) | log (log of C times the probability)"}}},
         make_odin},
        {{"gradnorm",
          "norm of weight gradients of the cross entropy to all classes",
          "Huang, Geng & Li 2021; gradnorm_ood test_ood.py",
          "layers=head: one forward pass (closed form); other layers: also one backward pass, cut at the "
          "first of them",
          {{"temperature", "1; T > 0"},
           {"p", "1; 0.1 to 4, or inf"},
           {"layers",
            "head; head | all | block1 … | a module's name, joined by + | each (a column a layer, and all)"},
           {"params",
            "weights; weights (convolution and linear) | weights+norm (gamma and beta of the norms with "
            "them) | "
            "all (biases too)"}}},
         make_gradnorm},
        {{"gaia-z",
          "share of exact zeros in the gradients of the largest logit at the norms",
          "Chen et al. 2023; GAIA-OOD cal_method.py cal_zero",
          "one forward pass and one backward pass, cut at the first norm",
          {{"hooks", "default; default | reference, textures (BiT: the published ImageNet hooks)"}}},
         make_gaia_z},
        {{"gaia-a",
          "gradients of the features at the norms of the last stages, relative to the output's",
          "Chen et al. 2023; GAIA-OOD cal_method.py cal_grad_value",
          "one forward pass and one backward pass of two stacked cotangents, cut at the first hooked norm",
          {{"eps", "0; added to the denominator, >= 0"}}},
         make_gaia_a},
        {{"nac",
          "coverage of the neurons' states, sigmoid(alpha o g), by those of the images it was fitted on",
          "Liu et al. 2024; BierOne/ood_coverage",
          "a fit; one forward pass; layers before the pooling: also one backward pass, cut at the first of "
          "them",
          {{"variant", "v15; v15 | v1 (bins and layers of the two published generations)"},
           {"layers", "by net: avgpool, or with layer3+layer2+layer1; taps joined by +"},
           {"O", "by net and layer; images from which on a bin is covered: one number, or A+B+…"},
           {"M", "by net and layer; thresholds of the bins"},
           {"alpha", "by net and layer; steepness of the sigmoid"},
           {"images", "1000; of the fit, equally many of each class; 0: all"},
           {"keep", "states; of the fit: states | histogram (fixed variant, M and alpha, for large sets)"},
           {"stats", "that of --stats; the statistics file"},
           {"search", "none; file of gradscore search --out, with variant, layers, O, M and alpha"}}},
         make_nac,
         make_nac_fit,
         merge_nac},
        {{"mahalanobis",
          "distance of the stages' features to the nearest class, in units of the classes' covariance",
          "Lee et al. 2018; gradnorm_ood utils/mahalanobis_lib.py; form=mds: OpenOOD",
          "a fit; one forward pass; eta > 0: also one backward pass of a stacked cotangent for each layer, "
          "and "
          "a second forward pass to each",
          {{"form", "lee; lee | mds (of the pooled features where no layers are given, no 1/2)"},
           {"layers",
            "the net's stages (MobileNet-v2: the last feature of each resolution); or taps joined by +"},
           {"stats", "that of --stats; the statistics file"},
           {"eta", "as tuned, else 0; step in normalised units, >= 0"},
           {"combine", "logistic where tuned, else sum; logistic | sum | last (layer)"}}},
         make_mahalanobis,
         make_mahalanobis_fit,
         merge_mahalanobis,
         complete_mahalanobis},
        {{"klm",
          "divergence of the softmax from the nearest class's mean softmax, negated",
          "Hendrycks et al. 2022; large_scale_ood test_baselines.py",
          "one forward pass; a fit (templates=fit)",
          {{"templates",
            "fit; fit | id-test (of the labelled ID set that is scored, as published; marked as invalid)"},
           {"by", "label; label | predicted (groups of the fit; OpenOOD: predicted)"},
           {"stats", "statistics file; that of --stats"}}},
         make_klm,
         make_klm_fit,
         merge_klm},
        {{"mos",
          "largest over the groups of minus the softmax of \"others\"",
          "Huang & Li 2021; large_scale_ood test_mos.py",
          "one forward pass of a net with a grouped head",
          {{"groups", "classes of each group: FILE.npy, FILE.txt or 398+521+…; needed"},
           {"form", "prob; prob | log (minus log of the probability: no saturation, no ties)"}}},
         make_mos},
        {{"track",
          "norms of the weight gradients of candidate labels' losses (gradient tracking)",
          "our definition",
          "one forward pass and a backward pass of one cotangent a class (score=pred|uniform: one in all); "
          "the last "
          "layer alone: one forward pass (closed form)",
          {{"loss", "ce; ce | bce | energy"},
           {"margin", "-23; of loss=energy"},
           {"score", "min; min | max | mean | pred | uniform: over candidate labels"},
           {"form", "norm_single; norm_single | original_single (the last layer's gradient itself)"},
           {"layers", "all; as gradnorm's (each, too); the layers' scores are added"},
           {"params", "weights; as gradnorm's; each is a layer of its own"},
           {"p", "2; 0.1 to 4, or inf"},
           {"detector", "l2; of original_single: l2 | l1 | cosine (with the mean gradient of a fit)"},
           {"stats", "that of --stats; the statistics file (detector=cosine)"}}},
         make_track,
         make_track_fit,
         merge_track},
    };
    return table;
}

MethodSpec parse_method(std::string_view text) {
    MethodSpec spec;
    spec.written = text;
    const size_t name_end = std::min(text.find(':'), text.size());
    spec.name = text.substr(0, name_end);
    while (text.size() > name_end && !(text = text.substr(std::min(text.find(':'), text.size()))).empty()) {
        text.remove_prefix(1);
        const std::string_view option = text.substr(0, text.find(':'));
        const size_t equals = option.find('=');
        if (equals == std::string_view::npos || equals == 0 || equals + 1 == option.size())
            throw Error(ErrorKind::Usage, "method '" + spec.written + "': '" + std::string(option) +
                                              "' is not an option KEY=VALUE");
        if (!spec.options.emplace(option.substr(0, equals), option.substr(equals + 1)).second)
            throw Error(ErrorKind::Usage, "method '" + spec.written + "': option '" +
                                              std::string(option.substr(0, equals)) + "' twice");
    }
    return spec;
}

}  // namespace

std::vector<MethodSpec> parse_methods(std::string_view list) {
    std::vector<MethodSpec> specs;
    std::set<std::string> seen;
    while (true) {
        const size_t comma = list.find(',');
        specs.push_back(parse_method(list.substr(0, comma)));
        if (specs.back().name.empty())
            throw Error(ErrorKind::Usage, "--methods: an empty name in the list; see --list-methods");
        if (!seen.insert(specs.back().written).second)
            throw Error(ErrorKind::Usage, "--methods: '" + specs.back().written + "' twice");
        if (comma == std::string_view::npos) return specs;
        list.remove_prefix(comma + 1);
    }
}

namespace {

MethodSpec with_layers(MethodSpec spec, const std::string& layers) {
    const std::string each = ":layers=each";
    spec.written.replace(spec.written.find(each), each.size(), ":layers=" + layers);
    spec.options["layers"] = layers;
    return spec;
}

}  // namespace

std::vector<MethodSpec> expand_layers(std::vector<MethodSpec> specs, const Net& net) {
    std::vector<MethodSpec> expanded;
    std::set<std::string> seen;
    const auto add = [&](MethodSpec spec) {
        if (!seen.insert(spec.written).second)
            throw Error(ErrorKind::Usage, "--methods: '" + spec.written + "' twice");
        expanded.push_back(std::move(spec));
    };
    for (MethodSpec& spec : specs) {
        const auto layers = spec.options.find("layers");
        const bool of_layers = spec.name == "gradnorm" || spec.name == "track";
        if (!of_layers || layers == spec.options.end() || layers->second != "each") {
            add(std::move(spec));
            continue;
        }
        OptionReader reader(spec);
        std::string module;
        for (const std::string& name : select_parameters(net, "all", read_params(reader), spec.written))
            if (const std::string owner = name.substr(0, name.rfind('.')); owner != module)
                add(with_layers(spec, module = owner));
        add(with_layers(spec, "all"));
    }
    return expanded;
}

namespace {

const Method& find_method(const std::string& name) {
    for (const Method& method : methods())
        if (method.description.name == name) return method;
    throw Error(ErrorKind::Usage, "--methods: no method '" + name + "'; known: " +
                                      join(method_descriptions(), ", ", &MethodDescription::name));
}

}  // namespace

void compute_scores(const Score& score, const Evidence& evidence, std::span<double> out) {
    score.compute(evidence, out);
    for (size_t n = 0; n < out.size(); ++n)
        if (!all_finite(evidence.logits.row(static_cast<int64_t>(n))))
            out[n] = std::numeric_limits<double>::quiet_NaN();
}

std::unique_ptr<Score> make_score(const MethodSpec& spec, const ScoreContext& context) {
    return find_method(spec.name).make(spec, context);
}

bool needs_fit(const MethodSpec& spec) {
    return find_method(spec.name).make_fit != nullptr;
}

std::unique_ptr<Fit> make_fit(const MethodSpec& spec, const ScoreContext& context) {
    const Method& method = find_method(spec.name);
    if (method.make_fit == nullptr)
        throw Error(ErrorKind::Usage, "--methods: '" + spec.name + "' needs no fit");
    return method.make_fit(spec, context);
}

FitState merge_states(std::span<const FitState> shards) {
    GS_REQUIRE(!shards.empty());
    const FitState& first = shards.front();
    for (const FitState& state : shards)
        if (state.method != first.method || state.options != first.options)
            throw Error(ErrorKind::Usage,
                        "fits of '" + first.method + "' with different options cannot be merged");
    const Method& method = find_method(first.method);
    if (method.merge == nullptr)
        throw Error(ErrorKind::Usage, "'" + first.method + "' needs no fit: nothing to merge");
    return method.merge(shards);
}

std::vector<std::string> complete_state(FitState& state) {
    const Method& method = find_method(state.method);
    return method.complete == nullptr ? std::vector<std::string>{} : method.complete(state);
}

const std::vector<MethodDescription>& method_descriptions() {
    static const std::vector<MethodDescription> descriptions = [] {
        std::vector<MethodDescription> all;
        for (const Method& method : methods()) all.push_back(method.description);
        return all;
    }();
    return descriptions;
}

}  // namespace gs
