// ODIN (docs/methods/odin.md): largest softmax(z(x') / T), x' = x - epsilon * sgn(dL/dx), L = CE(z / T,
// argmax z).
#include "scores/factories.h"
#include "scores/options.h"
#include "scores/softmax.h"

namespace gs {
namespace {

// The std of CIFAR-10 as ODIN's code and OpenOOD 1.0 (odin_postprocessor.py) write it, whatever the net was
// trained on.
constexpr float kOriginalScale[] = {static_cast<float>(63.0 / 255), static_cast<float>(62.1 / 255),
                                    static_cast<float>(66.7 / 255)};

class Odin : public Score {
  public:
    Odin(const MethodSpec& spec, const ScoreContext& context) {
        OptionReader reader(spec);
        static constexpr std::string_view kScales[] = {"none", "std", "original"}, kForms[] = {"prob", "log"};
        temperature_ = reader.temperature(1000);
        pass_.epsilon = static_cast<float>(reader.number_from_zero("epsilon", 0));
        const std::string scale = reader.choice("scale", "none", kScales);
        if (scale == "std") pass_.scale.assign(context.preprocess.std.begin(), context.preprocess.std.end());
        if (scale == "original") pass_.scale.assign(std::begin(kOriginalScale), std::end(kOriginalScale));
        log_ = reader.choice("form", "prob", kForms) == "log";
        options_ = reader.finish();
        cotangent_ = {Cotangent::Kind::PredictedCrossEntropy, static_cast<float>(temperature_)};
    }

    // With epsilon = 0 the second pass would repeat the first.
    Request request() const override {
        if (pass_.epsilon == 0) return {.logits = true};
        return {.backwards = {{.cotangent = cotangent_, .second = {pass_}}}};
    }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        const Matrix& logits = pass_.epsilon == 0 ? evidence.logits : evidence.second(cotangent_, pass_);
        for (size_t n = 0; n < out.size(); ++n) {
            const auto z = logits.row(static_cast<int64_t>(n));
            out[n] =
                log_ ? log_ratio_to_uniform(z, temperature_) : std::exp(log_max_softmax(z, temperature_));
        }
    }

    std::map<std::string, std::string> options() const override { return options_; }

  private:
    double temperature_ = 1000;
    bool log_ = false;
    Cotangent cotangent_;
    SecondPass pass_;
    std::map<std::string, std::string> options_;
};

}  // namespace

std::unique_ptr<Score> make_odin(const MethodSpec& spec, const ScoreContext& context) {
    return std::make_unique<Odin>(spec, context);
}

}  // namespace gs
