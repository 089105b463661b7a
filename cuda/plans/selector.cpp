#include "cuda/plans/selector.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace gs::cuda {

namespace {

// One problem's selection. Candidates that failed are not tried again.
class Selection {
  public:
    Selection(const ConvProblem& problem, PlanTrial& trial)
        : problem_(problem), trial_(trial), names_(trial.names()) {}

    const std::string& name(size_t candidate) const { return names_[candidate]; }

    std::optional<size_t> named(const std::string& name) {
        const auto found = std::find(names_.begin(), names_.end(), name);
        if (name.empty() || found == names_.end()) return std::nullopt;
        const auto candidate = static_cast<size_t>(found - names_.begin());
        return run(candidate) ? std::optional(candidate) : std::nullopt;
    }

    std::optional<size_t> first() {
        for (size_t i = 0; i < names_.size(); ++i)
            if (run(i) && is_sound(i)) return i;
        return std::nullopt;
    }

    struct Timed {
        size_t candidate = 0;
        double milliseconds = 0;
    };
    std::optional<Timed> fastest() {
        std::vector<Timed> all;
        double best = std::numeric_limits<double>::infinity();
        for (size_t i = 0; i < names_.size(); ++i) {
            const std::optional<double> milliseconds = median(i, best);
            if (!milliseconds) continue;
            all.push_back({i, *milliseconds});
            best = std::min(best, *milliseconds);
        }
        std::ranges::stable_sort(all, {}, &Timed::milliseconds);
        for (const Timed& timed : all)
            if (is_sound(timed.candidate)) return timed;
        return std::nullopt;
    }

    [[noreturn]] void give_up() const {
        throw Error(out_of_memory_ ? ErrorKind::Device : ErrorKind::Internal,
                    "no algorithm for the convolution " + to_string(problem_) + ": " +
                        (names_.empty() ? "cuDNN proposes none" : reason_));
    }

  private:
    static constexpr int kRuns = 5;
    static constexpr double kHopeless = 2;  // times the best so far

    // Of several runs after a first one, which loads code. A candidate that is clearly slow is not run again.
    std::optional<double> median(size_t candidate, double best) {
        if (!run(candidate)) return std::nullopt;
        std::vector<double> runs;
        while (static_cast<int>(runs.size()) < kRuns) {
            const std::optional<double> milliseconds = run(candidate);
            if (!milliseconds) return std::nullopt;
            runs.push_back(*milliseconds);
            if (*milliseconds > kHopeless * best) break;
        }
        std::ranges::nth_element(runs, runs.begin() + static_cast<int64_t>(runs.size() / 2));
        return runs[runs.size() / 2];
    }

    std::optional<double> run(size_t candidate) {
        return attempt<double>(candidate, [&] { return trial_.run(candidate); });
    }

    bool is_sound(size_t candidate) {
        if (problem_.direction == Direction::Data)
            return passes(candidate, &PlanTrial::keeps_zeros, "writes values where zeros belong");
        if (problem_.relu) return passes(candidate, &PlanTrial::keeps_nan, "makes numbers of NaN");
        return true;
    }

    bool passes(size_t candidate, bool (PlanTrial::*test)(size_t), const std::string& fault) {
        const auto passed = attempt<bool>(candidate, [&] { return (trial_.*test)(candidate); });
        if (passed && !*passed) reason_ = names_[candidate] + ": " + fault;
        return passed.value_or(false);
    }

    template <class T, class F>
    std::optional<T> attempt(size_t candidate, const F& f) {
        try {
            return f();
        } catch (const Error& error) {
            out_of_memory_ |= error.kind() == ErrorKind::Device;
            reason_ = names_[candidate] + ": " + error.what();
            return std::nullopt;
        }
    }

    const ConvProblem& problem_;
    PlanTrial& trial_;
    std::vector<std::string> names_;
    std::string reason_;
    bool out_of_memory_ = false;
};

}  // namespace

size_t PlanSelector::select(const ConvProblem& problem, PlanTrial& trial) {
    Selection selection(problem, trial);
    if (!timed_) {
        const std::optional<size_t> first = selection.first();
        return first ? *first : (selection.give_up(), 0);
    }
    if (const std::optional<size_t> known = selection.named(file_.find(problem))) return *known;
    const auto fastest = selection.fastest();
    if (!fastest) selection.give_up();
    file_.store(problem, selection.name(fastest->candidate), fastest->milliseconds);
    return fastest->candidate;
}

}  // namespace gs::cuda
