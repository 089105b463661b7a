// MOS (Huang & Li 2021; docs/methods/mos.md): how sure some group is that the image is none of "others".
#include <algorithm>
#include <cmath>

#include "core/join.h"
#include "core/softmax.h"
#include "scores/factories.h"
#include "scores/group_head.h"
#include "scores/options.h"

namespace gs {
namespace {

// log softmax(z)_0 = -log(1 + sum_i>0 exp(z_i - z_0)), which keeps its digits near 0 as well.
double log_others(std::span<const float> slice) {
    return -softplus(log_sum_exp(slice.subspan(1)) - slice[0]);
}

class Mos : public Score {
  public:
    Mos(const MethodSpec& spec, const ScoreContext& context) {
        OptionReader reader(spec);
        static constexpr std::string_view kForms[] = {"prob", "log"};
        const std::string groups = reader.text("groups", "");
        log_ = reader.choice("form", "prob", kForms) == "log";
        options_ = reader.finish();
        head_ = read_group_head(groups);
        // Not the file they come from, which may be another by the time that a threshold is used.
        options_["groups"] = join(head_.sizes, "+", [](int64_t size) { return std::to_string(size); });
        if (head_.logits() != context.net.head.classes)
            throw Error(ErrorKind::Usage, "method '" + spec.written +
                                              "': " + std::to_string(head_.sizes.size()) + " groups of " +
                                              std::to_string(head_.classes()) + " classes need a head of " +
                                              std::to_string(head_.logits()) + " outputs, the net's has " +
                                              std::to_string(context.net.head.classes));
    }

    Request request() const override { return {.logits = true}; }
    const GroupHead* group_head() const override { return &head_; }
    std::map<std::string, std::string> options() const override { return options_; }

    void compute(const Evidence& evidence, std::span<double> out) const override {
        for (size_t n = 0; n < out.size(); ++n) {
            const double least = least_log_others(evidence.logits.row(static_cast<int64_t>(n)));
            out[n] = log_ ? -least : -std::exp(least);
        }
    }

  private:
    GroupHead head_;
    bool log_ = false;
    std::map<std::string, std::string> options_;

    // Over the groups; NaN where a logit is.
    double least_log_others(std::span<const float> z) const {
        double least = 0;
        for (const int64_t size : head_.sizes) {
            const double value = log_others(z.first(static_cast<size_t>(size + 1)));
            if (!(value >= least)) least = std::isnan(least) ? least : value;
            z = z.subspan(static_cast<size_t>(size + 1));
        }
        return least;
    }
};

}  // namespace

std::unique_ptr<Score> make_mos(const MethodSpec& spec, const ScoreContext& context) {
    return std::make_unique<Mos>(spec, context);
}

}  // namespace gs
