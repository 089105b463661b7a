// Gradient tracking (docs/methods/track.md, our definition throughout): n[l,c] = the p-norm of the gradient
// of the loss of candidate label c with respect to the weight of layer l (or another parameter, a layer of
// its own), one number for each candidate chosen among or averaged over; a trained net explains an image it
// knows with nearly no gradient, so s = -sum over layers.
#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

#include "scores/factories.h"
#include "scores/fit.h"
#include "scores/options.h"
#include "scores/softmax.h"
#include "scores/statistics.h"
#include "scores/track_loss.h"
#include "scores/weight_selection.h"

namespace gs {
namespace {

enum class Choice : uint8_t { Min, Max, Mean, Predicted, Uniform };

struct TrackOptions {
    TrackLoss loss;
    double p = 2;
    Choice choice = Choice::Min;
    bool original = false;  // form=original_single
    Params params = Params::Weights;
    std::string layers, detector, stats, written;
    std::map<std::string, std::string> resolved;
};

Choice parse_choice(const std::string& text) {
    if (text == "min") return Choice::Min;
    if (text == "max") return Choice::Max;
    if (text == "mean") return Choice::Mean;
    return text == "pred" ? Choice::Predicted : Choice::Uniform;
}

[[noreturn]] void refuse(const TrackOptions& options, const std::string& why) {
    throw Error(ErrorKind::Usage, "method '" + options.written + "': " + why);
}

TrackOptions read_options(const MethodSpec& spec) {
    OptionReader reader(spec);
    static constexpr std::string_view kChoices[] = {"min", "max", "mean", "pred", "uniform"};
    static constexpr std::string_view kForms[] = {"norm_single", "original_single"};
    static constexpr std::string_view kDetectors[] = {"l2", "l1", "cosine"};
    TrackOptions options;
    options.written = spec.written;
    options.loss = read_track_loss(reader);
    options.choice = parse_choice(reader.choice("score", "min", kChoices));
    options.original = reader.choice("form", "norm_single", kForms) == "original_single";
    options.layers = reader.text("layers", options.original ? "head" : "all");
    if (options.original) {
        options.detector = reader.choice("detector", "l2", kDetectors);
        options.p = options.detector == "l1" ? 1 : 2;
        if (options.detector == "cosine") options.stats = reader.text("stats", "");
    } else {
        options.p = read_exponent(reader, 2);
        options.params = read_params(reader);
    }
    options.resolved = reader.finish();
    if (options.original && options.layers != "head")
        refuse(options, "form=original_single is of the last layer; norms of others are form=norm_single");
    if (options.original && options.choice == Choice::Mean)
        refuse(options, "form=original_single needs one candidate: score=min|max|pred|uniform");
    if (options.choice == Choice::Uniform && options.loss.kind != TrackLoss::Kind::CrossEntropy)
        refuse(options, "score=uniform is of loss=ce only");
    return options;
}

// Of the candidates' norms; one alone stands for itself.
double reduced(Choice choice, std::span<const double> norms) {
    if (choice == Choice::Max) return *std::max_element(norms.begin(), norms.end());
    if (choice != Choice::Mean) return *std::min_element(norms.begin(), norms.end());
    double sum = 0;
    for (const double n : norms) sum += n;
    return sum / static_cast<double>(norms.size());
}

double vector_norm(std::span<const double> v, double p) {
    NormAccumulator norm(p);
    for (const double x : v) norm.add(x);
    return norm.value();
}

// The last layer in closed form: its weight's gradient is the outer product of a, the loss's gradient at the
// logits, and f; its bias' gradient is a.
class HeadGradients {
  public:
    HeadGradients(const TrackOptions& options, std::span<const float> z, std::span<const float> f)
        : options_(options), z_(z), feature_norm_([&] {
              NormAccumulator norm(options.p);
              for (const float v : f) norm.add(v);
              return norm.value();
          }()) {}

    double of_weight() const { return of_bias() * feature_norm_; }

    double of_bias() const {
        if (options_.choice == Choice::Predicted || options_.choice == Choice::Uniform)
            return vector_norm(chosen(), options_.p);
        std::vector<double> norms(z_.size()), a(z_.size());
        for (size_t c = 0; c < z_.size(); ++c) {
            options_.loss.gradient(static_cast<int64_t>(c), z_, a);
            norms[c] = vector_norm(a, options_.p);
        }
        return reduced(options_.choice, norms);
    }

    // a of the candidate that the score chooses.
    std::vector<double> chosen() const {
        std::vector<double> a(z_.size()), best;
        if (options_.choice == Choice::Uniform) {
            a.clear();
            for_each_uniform_gradient(z_, 1, [&](double v) { a.push_back(v); });
            return a;
        }
        if (options_.choice == Choice::Predicted) {
            options_.loss.gradient(argmax(z_), z_, a);
            return a;
        }
        double extreme = 0;
        for (size_t c = 0; c < z_.size(); ++c) {
            options_.loss.gradient(static_cast<int64_t>(c), z_, a);
            const double norm = vector_norm(a, options_.p);
            if (best.empty() || (options_.choice == Choice::Min ? norm < extreme : norm > extreme)) {
                extreme = norm;
                best = a;
            }
        }
        return best;
    }

  private:
    const TrackOptions& options_;
    std::span<const float> z_;
    double feature_norm_;
};

class TrackNorms : public Score {
  public:
    TrackNorms(TrackOptions options, const Net& net) : options_(std::move(options)) {
        const Node& head = net.nodes.back();
        for (std::string& name : select_parameters(net, options_.layers, options_.params, options_.written)) {
            const bool of_head = head.parameter(name).has_value();
            (of_head ? of_head_ : wanted_).push_back({std::move(name), options_.p});
        }
        head_weight_ = head.weight;
        if (wanted_.empty()) return;
        if (options_.choice == Choice::Predicted || options_.choice == Choice::Uniform) {
            candidates_ = {options_.choice == Choice::Uniform ? Cotangent{} : options_.loss.of_prediction()};
        } else {
            for (int64_t c = 0; c < net.head.classes; ++c) candidates_.push_back(options_.loss.of_class(c));
        }
    }

    Request request() const override {
        Request request{.logits = !of_head_.empty(), .features = !of_head_.empty()};
        std::vector<WeightNorm> norms = wanted_;
        norms.insert(norms.end(), of_head_.begin(),
                     of_head_.end());  // for the arrays: they cost nothing on the way
        for (const Cotangent& candidate : candidates_)
            request.backwards.push_back({.cotangent = candidate, .weight_norms = norms});
        return request;
    }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        std::fill(out.begin(), out.end(), 0.0);
        for (const WeightNorm& norm : of_head_)
            for (size_t n = 0; n < out.size(); ++n) {
                const auto i = static_cast<int64_t>(n);
                const HeadGradients gradients(options_, evidence.logits.row(i), evidence.features.row(i));
                out[n] -= norm.parameter == head_weight_ ? gradients.of_weight() : gradients.of_bias();
            }
        std::vector<const Matrix*> sums(candidates_.size());
        std::vector<double> norms(candidates_.size());
        for (const WeightNorm& wanted : wanted_) {
            for (size_t c = 0; c < sums.size(); ++c)
                sums[c] = &evidence.weight_norms_of(candidates_[c], wanted);
            for (size_t n = 0; n < out.size(); ++n) {
                for (size_t c = 0; c < sums.size(); ++c) {
                    const double sum = sums[c]->row(static_cast<int64_t>(n))[0];
                    norms[c] = root_of_power_sum(sum, options_.p);
                }
                out[n] -= reduced(options_.choice, norms);
            }
        }
    }

    std::map<std::string, std::string> options() const override { return options_.resolved; }

  private:
    TrackOptions options_;
    std::string head_weight_;
    std::vector<WeightNorm> wanted_, of_head_;  // by passes; in closed form
    std::vector<Cotangent> candidates_;
};

// The last layer's gradient itself, a f^T, of one candidate: its norm, or its cosine with the mean over the
// fitted images, for which a high value is in-distribution.
class TrackOriginal : public Score {
  public:
    TrackOriginal(TrackOptions options, const MethodSpec& spec, const ScoreContext& context)
        : options_(std::move(options)) {
        if (options_.detector != "cosine" || context.statistics == nullptr) return;
        std::map<std::string, std::string> wanted = options_.resolved;
        wanted.erase("stats");
        const Array& mean = context.statistics->find(spec, options_.stats, wanted).array("gradient_sum");
        options_.resolved["stats"] = context.statistics->file(options_.stats).string();
        if (mean.shape != std::vector<int64_t>{context.net.head.classes, context.net.head.features})
            throw Error(ErrorKind::Data, "statistics of '" + options_.written + "': of another last layer");
        mean_ = mean.as<double>();
        const double length = vector_norm(mean_, 2);
        for (double& v : mean_) v /= length;
    }

    Request request() const override { return {.logits = true, .features = true}; }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        if (options_.detector == "cosine" && mean_.empty())
            throw Error(ErrorKind::Usage, "method '" + options_.written +
                                              "': needs --stats FILE (gradscore fit --methods track)");
        for (size_t n = 0; n < out.size(); ++n) {
            const auto z = evidence.logits.row(static_cast<int64_t>(n));
            const auto f = evidence.features.row(static_cast<int64_t>(n));
            const HeadGradients gradients(options_, z, f);
            out[n] = options_.detector == "cosine" ? cosine(gradients.chosen(), f) : -gradients.of_weight();
        }
    }

    std::map<std::string, std::string> options() const override { return options_.resolved; }

  private:
    TrackOptions options_;
    std::vector<double> mean_;  // [classes][features], of length 1

    double cosine(const std::vector<double>& a, std::span<const float> f) const {
        double dot = 0, squares = 0;
        for (const float v : f) squares += static_cast<double>(v) * v;
        for (size_t c = 0; c < a.size(); ++c) {
            double along = 0;
            for (size_t d = 0; d < f.size(); ++d) along += mean_[c * f.size() + d] * f[d];
            dot += a[c] * along;
        }
        return dot / (vector_norm(a, 2) * std::sqrt(squares));
    }
};

// The mean over the fitted images of the last layer's gradient, of each image's own candidate.
class TrackFit : public Fit {
  public:
    TrackFit(TrackOptions options, const Net& net)
        : options_(std::move(options)),
          features_(net.head.features),
          sum_(static_cast<size_t>(net.head.classes * net.head.features)) {
        if (!options_.original || options_.detector != "cosine")
            refuse(options_, "only form=original_single:detector=cosine is fitted");
    }

    Request request() const override { return {.logits = true, .features = true}; }

    void add(const Evidence& evidence, std::span<const int64_t> labels) override {
        for (int64_t n = 0; n < static_cast<int64_t>(labels.size()); ++n) {
            const auto f = evidence.features.row(n);
            require_finite(evidence.logits.row(n), "track", "logits");
            require_finite(f, "track", "features");
            const std::vector<double> a = HeadGradients(options_, evidence.logits.row(n), f).chosen();
            for (size_t c = 0; c < a.size(); ++c)
                for (size_t d = 0; d < f.size(); ++d) sum_[c * f.size() + d] += a[c] * f[d];
        }
        images_ += static_cast<int64_t>(labels.size());
    }

    FitState state() const override {
        FitState state{.method = "track", .options = options_.resolved, .arrays = {}};
        state.options.erase("stats");
        const auto classes = static_cast<int64_t>(sum_.size()) / features_;
        state.arrays["gradient_sum"] = {{classes, features_}, sum_};
        state.arrays["images"] = {{1}, std::vector<int64_t>{images_}};
        return state;
    }

  private:
    TrackOptions options_;
    int64_t features_, images_ = 0;
    std::vector<double> sum_;  // [classes][features]
};

}  // namespace

std::unique_ptr<Score> make_track(const MethodSpec& spec, const ScoreContext& context) {
    TrackOptions options = read_options(spec);
    if (options.original) return std::make_unique<TrackOriginal>(std::move(options), spec, context);
    return std::make_unique<TrackNorms>(std::move(options), context.net);
}

std::unique_ptr<Fit> make_track_fit(const MethodSpec& spec, const ScoreContext& context) {
    return std::make_unique<TrackFit>(read_options(spec), context.net);
}

FitState merge_track(std::span<const FitState> shards) {
    FitState merged = shards.front();
    std::vector<double> sum = merged.array("gradient_sum").as<double>();
    int64_t images = merged.array("images").as<int64_t>().at(0);
    for (const FitState& shard : shards.subspan(1)) {
        const std::vector<double>& more = shard.array("gradient_sum").as<double>();
        if (more.size() != sum.size())
            throw Error(ErrorKind::Data, "statistics of 'track': shards of different last layers");
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
        images += shard.array("images").as<int64_t>().at(0);
    }
    merged.arrays["gradient_sum"].values = std::move(sum);
    merged.arrays["images"].values = std::vector<int64_t>{images};
    return merged;
}

}  // namespace gs
