// GAIA-A and GAIA-Z (docs/methods/gaia-a.md): abnormalities of the gradients at the outputs of norm layers.
// Source: Chen et al. 2023; GAIA-OOD cal_method.py, hook.py.
#include <algorithm>
#include <cmath>

#include "scores/factories.h"
#include "scores/options.h"

namespace gs {
namespace {

bool starts_with_any(const std::string& name, std::span<const std::string> prefixes) {
    return std::any_of(prefixes.begin(), prefixes.end(),
                       [&](const std::string& p) { return name.starts_with(p + "."); });
}

// The last `count` stages' module names: "layer3", "layer4"; BiT's blocks stand below "body.".
std::vector<std::string> last_stages(const Net& net, size_t count) {
    const size_t n = net.stages.size();
    std::vector<std::string> stages(net.stages.end() - static_cast<std::ptrdiff_t>(std::min(count, n)),
                                    net.stages.end());
    if (net.architecture.family == Family::ResNetV2)
        for (std::string& stage : stages) stage = "body." + stage;
    return stages;
}

std::vector<std::string> norms_of(const Net& net, const std::vector<std::string>& stages) {
    std::vector<std::string> norms;
    for (const std::string& norm : net.norms)
        if (starts_with_any(norm, stages)) norms.push_back(norm);
    return norms;
}

// "published" for nets that GAIA-OOD's hook.py has hooks for; those of their families, and of others, are our
// extension.
std::string norms_source(const Net& net) {
    static constexpr std::string_view kPublished[] = {"resnet18-cifar", "resnet34-cifar", "resnet50-cifar",
                                                      "wrn-40-2", "bit-r101x1"};
    const bool published =
        std::find(std::begin(kPublished), std::end(kPublished), net.name) != std::end(kPublished);
    return published ? "published" : "extension";
}

// CIFAR ResNets and WideResNet: every norm, BiT those of block 4. Other families: every norm.
std::vector<std::string> z_norms(const Net& net) {
    return net.architecture.family == Family::ResNetV2 ? norms_of(net, last_stages(net, 1)) : net.norms;
}

// CIFAR ResNets: layer3 and layer4, WideResNet every norm, BiT block 4. Other families: the last two stages
// (MobileNet-v2: features.14 to 18).
std::vector<std::string> a_norms(const Net& net) {
    switch (net.architecture.family) {
        case Family::ResNetV2:
            return norms_of(net, last_stages(net, 1));
        case Family::WideResNet:
            return net.norms;
        case Family::MobileNetV2:
            return norms_of(net, last_stages(net, 5));
        case Family::CifarResNet:
        case Family::CifarOptionA:
        case Family::ResNet:
            break;
    }
    return norms_of(net, last_stages(net, 2));
}

// Where the output component is read: before the pooling, or behind it where the published hook sits on a
// module that pools (BiT's before_head, GAIA's AdaptAvgPool of WideResNet).
std::string output_tap(const Net& net) {
    const bool pooled =
        net.architecture.family == Family::ResNetV2 || net.architecture.family == Family::WideResNet;
    return pooled ? net.pooled : net.stages.back();
}

std::vector<TapReduction> reductions(const std::vector<std::string>& taps, Reduction reduction) {
    std::vector<TapReduction> wanted;
    for (const std::string& tap : taps) wanted.push_back({tap, reduction});
    return wanted;
}

class SquareMean {
  public:
    void add(std::span<const float> values) {
        for (const float v : values) sum_ += static_cast<double>(v) * v;
        count_ += static_cast<double>(values.size());
    }
    double value() const { return sum_ / count_; }

  private:
    double sum_ = 0, count_ = 0;
};

// s = -mean over all channels of all layers of density^2; density = share of positions where the gradient of
// the largest logit is not exactly zero.
class GaiaZ : public Score {
  public:
    GaiaZ(const MethodSpec& spec, const Net& net) {
        OptionReader reader(spec);
        static constexpr std::string_view kHooks[] = {"default", "reference", "textures"};
        const std::string hooks = reader.choice("hooks", "default", kHooks);
        options_ = reader.finish();
        options_["norms"] = norms_source(net);
        std::vector<std::string> taps = z_norms(net);
        if (hooks != "default") {
            // The README's ImageNet command hooks before_head too, and for the set called "textures" its norm
            // instead.
            if (net.architecture.family != Family::ResNetV2)
                throw Error(ErrorKind::Usage,
                            "method '" + spec.written + "': hooks=" + hooks + " is of BiT nets only");
            taps.push_back(hooks == "reference" ? net.pooled : "before_head.gn");
        }
        wanted_ = reductions(taps, Reduction::NonzeroShare);
    }

    Request request() const override { return {.backwards = {{.cotangent = kSeed, .gradients = wanted_}}}; }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        for (size_t n = 0; n < out.size(); ++n) {
            SquareMean density;
            for (const TapReduction& tap : wanted_)
                density.add(evidence.gradient(kSeed, tap).row(static_cast<int64_t>(n)));
            out[n] = -density.value();
        }
    }

    std::map<std::string, std::string> options() const override { return options_; }

  private:
    inline static const Cotangent kSeed{Cotangent::Kind::MaxLogit, 1};
    std::vector<TapReduction> wanted_;
    std::map<std::string, std::string> options_;
};

// s = -mean(r^2) / omega^2: r the spatial means of the gradient of the features' sum at the norms, omega^2
// the mean of |spatial mean| of the gradient of sum_c log softmax(z)_c at the output component. Both in one
// stacked pass; the second leaves it at the output component.
class GaiaA : public Score {
  public:
    GaiaA(const MethodSpec& spec, const Net& net) {
        OptionReader reader(spec);
        eps_ = reader.number_from_zero("eps", 0);
        options_ = reader.finish();
        options_["norms"] = norms_source(net);
        inner_ = reductions(a_norms(net), Reduction::Mean);
        output_ = {output_tap(net), Reduction::Mean};
    }

    Request request() const override {
        return {.backwards = {{.cotangent = kInner, .gradients = inner_},
                              {.cotangent = kOutput, .gradients = {output_}}}};
    }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        for (size_t n = 0; n < out.size(); ++n) {
            const auto i = static_cast<int64_t>(n);
            SquareMean inner;
            for (const TapReduction& tap : inner_) inner.add(evidence.gradient(kInner, tap).row(i));
            double omega_squared = 0;
            const auto output = evidence.gradient(kOutput, output_).row(i);
            for (const float h : output) omega_squared += std::abs(h);
            omega_squared /= static_cast<double>(output.size());
            out[n] = -inner.value() / (omega_squared + eps_);  // eps 0: 0/0 is NaN, as published
        }
    }

    std::map<std::string, std::string> options() const override { return options_; }

  private:
    inline static const Cotangent kInner{Cotangent::Kind::FeatureSum, 1};
    inline static const Cotangent kOutput{Cotangent::Kind::UniformCrossEntropy, 1};
    std::vector<TapReduction> inner_;
    TapReduction output_;
    double eps_ = 0;
    std::map<std::string, std::string> options_;
};

}  // namespace

std::unique_ptr<Score> make_gaia_z(const MethodSpec& spec, const ScoreContext& context) {
    return std::make_unique<GaiaZ>(spec, context.net);
}

std::unique_ptr<Score> make_gaia_a(const MethodSpec& spec, const ScoreContext& context) {
    return std::make_unique<GaiaA>(spec, context.net);
}

}  // namespace gs
