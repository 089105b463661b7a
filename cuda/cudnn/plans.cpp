#include "cuda/cudnn/plans.h"

#include <algorithm>
#include <set>

namespace gs::cuda {

namespace {

std::vector<Descriptor> heuristics(const OperationGraph& graph, const PlanTarget& target,
                                   cudnnBackendHeurMode_t mode) {
    Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.descriptor())
        .set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
    target.aim_heuristics(heuristics);
    if (!heuristics.try_finalize()) return {};  // no engine in this mode
    return heuristics.get_descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
}

Descriptor engine_of(const Descriptor& config) {
    return config.get_descriptor(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
}

std::string name_of(const Descriptor& config, const Descriptor& engine) {
    std::string name = "engine " + std::to_string(engine.get<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX)) + ":";
    std::vector<std::pair<int, int64_t>> knobs;
    for (const Descriptor& choice : config.get_descriptors(
             CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_KNOB_TYPE_COUNTS))
        knobs.emplace_back(choice.get<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE),
                           choice.get<int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
    std::sort(knobs.begin(), knobs.end());
    for (const auto& [knob, value] : knobs) name += " " + std::to_string(knob) + "=" + std::to_string(value);
    return name;
}

std::vector<cudnnBackendNumericalNote_t> numerical_notes(const Descriptor& engine) {
    return engine.get_all<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                       CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
}

bool is_compiled_at_run_time(const Descriptor& engine) {
    const auto notes = engine.get_all<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                                                  CUDNN_BEHAVIOR_NOTE_TYPE_COUNT);
    return std::ranges::count(notes, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) > 0;
}

}  // namespace

bool may_compute(Precision precision, bool deterministic,
                 const std::vector<cudnnBackendNumericalNote_t>& notes) {
    return std::ranges::none_of(notes, [&](cudnnBackendNumericalNote_t note) {
        switch (note) {
            case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
                return precision == Precision::F32;
            case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
                return precision != Precision::BF16;
            case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
                return deterministic;
            case CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP:
                return false;
            default:  // reduced-precision sums, FFT, Winograd, and notes that are not known yet
                return true;
        }
    });
}

namespace {

// Of plans that cuDNN compiles at run time, up to a second each; the heuristic's first are the likeliest.
constexpr size_t kMostCompiled = 2;

// Plans of one problem, made from proposals in the order in which they come.
class PlanMaker {
  public:
    PlanMaker(const ConvProblem& problem, const PlanTarget& target, size_t limit, size_t largest_workspace)
        : problem_(problem), target_(target), limit_(limit), largest_workspace_(largest_workspace) {}

    bool is_full() const { return plans_.size() == limit_; }

    // What would be compiled at run time is put aside.
    void propose(std::vector<Descriptor> configs) {
        for (Descriptor& config : configs) {
            if (is_full()) return;
            const Descriptor engine = engine_of(config);
            Proposal proposal{std::move(config), {}};
            proposal.name = name_of(proposal.config, engine);
            if (!seen_.insert(proposal.name).second) continue;
            ++counts_.proposed;
            if (!may_compute(problem_.precision, problem_.deterministic, numerical_notes(engine)))
                ++counts_.refused;
            else if (is_compiled_at_run_time(engine))
                compiled_.push_back(std::move(proposal));
            else
                make(std::move(proposal));
        }
    }

    std::vector<Plan> finish(PlanCounts* counts) {
        counts_.compiled = static_cast<int>(compiled_.size());
        if (plans_.empty())
            for (size_t i = 0; i < compiled_.size() && plans_.size() < std::min(limit_, kMostCompiled); ++i)
                make(std::move(compiled_[i]));
        if (counts != nullptr) *counts = counts_;
        return std::move(plans_);
    }

  private:
    struct Proposal {
        Descriptor config;
        std::string name;
    };

    void make(Proposal proposal) {
        Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, proposal.config);
        target_.aim_plan(plan);
        if (!plan.try_finalize()) {
            ++counts_.failed;
            return;
        }
        const auto workspace = plan.get<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
        if (static_cast<size_t>(workspace) > largest_workspace_) {
            ++counts_.too_large;
            return;
        }
        plans_.push_back({std::move(plan), std::move(proposal.config), std::move(proposal.name),
                          static_cast<size_t>(workspace)});
    }

    const ConvProblem& problem_;
    const PlanTarget& target_;
    size_t limit_, largest_workspace_;
    std::set<std::string> seen_;
    std::vector<Proposal> compiled_;
    std::vector<Plan> plans_;
    PlanCounts counts_;
};

}  // namespace

std::vector<Plan> make_plans(const ConvProblem& problem, const OperationGraph& graph,
                             const PlanTarget& target, size_t limit, size_t largest_workspace,
                             PlanCounts* counts) {
    PlanMaker maker(problem, target, limit, largest_workspace);
    for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK})
        if (!maker.is_full()) maker.propose(heuristics(graph, target, mode));
    return maker.finish(counts);
}

}  // namespace gs::cuda
