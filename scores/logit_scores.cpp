// Scores of the logits alone: MSP, MaxLogit, Energy (docs/methods.md).
#include <functional>

#include "scores/factories.h"
#include "scores/options.h"
#include "scores/softmax.h"

namespace gs {
namespace {

class LogitScore : public Score {
  public:
    using Row = std::function<double(std::span<const float>)>;
    LogitScore(Row row, std::map<std::string, std::string> options)
        : row_(std::move(row)), options_(std::move(options)) {}

    Request request() const override { return {.logits = true}; }
    void compute(const Evidence& evidence, std::span<double> out) const override {
        for (size_t n = 0; n < out.size(); ++n) out[n] = row_(evidence.logits.row(static_cast<int64_t>(n)));
    }
    std::map<std::string, std::string> options() const override { return options_; }

  private:
    Row row_;
    std::map<std::string, std::string> options_;
};

}  // namespace

std::unique_ptr<Score> make_msp(const MethodSpec& spec, const ScoreContext&) {
    OptionReader reader(spec);
    static constexpr std::string_view kForms[] = {"prob", "log", "f32"};
    const std::string form = reader.choice("form", "prob", kForms);
    LogitScore::Row row = [](std::span<const float> z) { return std::exp(log_max_softmax(z)); };
    if (form == "log") row = [](std::span<const float> z) { return log_max_softmax(z); };
    if (form == "f32") row = float_max_softmax;
    return std::make_unique<LogitScore>(std::move(row), reader.finish());
}

std::unique_ptr<Score> make_max_logit(const MethodSpec& spec, const ScoreContext&) {
    OptionReader reader(spec);
    return std::make_unique<LogitScore>([](std::span<const float> z) { return max_logit(z); },
                                        reader.finish());
}

std::unique_ptr<Score> make_energy(const MethodSpec& spec, const ScoreContext&) {
    OptionReader reader(spec);
    const double t = reader.temperature(1);
    return std::make_unique<LogitScore>([t](std::span<const float> z) { return t * log_sum_exp(z, t); },
                                        reader.finish());
}

}  // namespace gs
