// KL matching (Hendrycks et al. 2022; docs/methods/klm.md): how far the image's softmax is from the mean
// softmax of the nearest class.
#include "scores/factories.h"
#include "scores/klm_templates.h"
#include "scores/options.h"
#include "scores/softmax.h"
#include "scores/statistics.h"

namespace gs {
namespace {

constexpr std::string_view kTemplates[] = {"fit", "id-test"};
constexpr std::string_view kGroups[] = {"label", "predicted"};

class KlmFit : public Fit {
  public:
    KlmFit(int64_t classes, std::map<std::string, std::string> options)
        : sums_(classes), by_label_(options.at("by") == "label"), options_(std::move(options)) {}

    Request request() const override { return {.logits = true}; }

    void add(const Evidence& evidence, std::span<const int64_t> labels) override {
        for (int64_t n = 0; n < evidence.samples; ++n) {
            const std::span<const float> z = evidence.logits.row(n);
            require_finite(z, "klm", "logits");
            const int64_t label = labels[static_cast<size_t>(n)];
            check_label(label);
            sums_.add(z, by_label_ ? label : argmax(z));
        }
    }
    void check_label(int64_t label) const override {
        if (!by_label_) return;
        if (label < 0)
            throw Error(ErrorKind::Data,
                        "klm: an image has no label; klm:by=predicted groups by the predicted class");
        if (label >= sums_.classes())
            throw Error(ErrorKind::Data, "klm: label " + std::to_string(label) +
                                             " of an image, the net has " + std::to_string(sums_.classes()) +
                                             " classes");
    }
    FitState state() const override { return sums_.state(options_); }

  private:
    KlmSums sums_;
    bool by_label_;
    std::map<std::string, std::string> options_;
};

class Klm : public Score {
  public:
    Klm(const MethodSpec& spec, const ScoreContext& context) {
        OptionReader reader(spec);
        const bool any_group = !spec.options.contains("by");
        std::map<std::string, std::string> wanted{
            {"templates", reader.choice("templates", "fit", kTemplates)}};
        const std::string by = reader.choice("by", "label", kGroups);
        const std::string stats = reader.text("stats", "");
        options_ = reader.finish();
        on_id_set_ = wanted["templates"] == "id-test";
        if (on_id_set_ && !stats.empty())
            throw Error(ErrorKind::Usage,
                        "method '" + spec.written +
                            "': templates=id-test are made of the --id set, stats=" + stats + " cannot be");
        if (!any_group || on_id_set_) wanted["by"] = by;
        if (context.statistics == nullptr) return;
        const FitState& state = context.statistics->find(spec, stats, wanted);
        templates_.emplace(state, context.net.head.classes);
        options_["by"] = state.options.at("by");
        if (!on_id_set_) options_["stats"] = context.statistics->file(stats).string();
    }

    Request request() const override { return {.logits = true}; }
    bool fitted_on_id_set() const override { return on_id_set_; }
    std::map<std::string, std::string> options() const override { return options_; }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        if (!templates_) throw Error(ErrorKind::Usage, "klm needs a fit");
        templates_->score(evidence.logits, out);
    }

  private:
    std::map<std::string, std::string> options_;
    bool on_id_set_ = false;
    std::optional<KlmTemplates> templates_;
};

}  // namespace

std::unique_ptr<Score> make_klm(const MethodSpec& spec, const ScoreContext& context) {
    return std::make_unique<Klm>(spec, context);
}

std::unique_ptr<Fit> make_klm_fit(const MethodSpec& spec, const ScoreContext& context) {
    OptionReader reader(spec);
    const std::string templates = reader.choice("templates", "fit", kTemplates);
    reader.choice("by", "label", kGroups);
    if (templates == "id-test" && context.statistics == nullptr)
        throw Error(ErrorKind::Usage, "method '" + spec.written +
                                          "': templates=id-test are made by gradscore score of its --id set");
    return std::make_unique<KlmFit>(context.net.head.classes, reader.finish());
}

FitState merge_klm(std::span<const FitState> shards) {
    KlmSums sums(shards.front());
    for (const FitState& shard : shards.subspan(1)) sums.add(KlmSums(shard));
    return sums.state(shards.front().options);
}

}  // namespace gs
