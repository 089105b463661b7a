#include "cuda/engine/algorithm_cache.h"

#include "cuda/engine/trial.h"

namespace gs::cuda {

AlgorithmCache::AlgorithmCache(Context& context, AlgorithmSource& source, const ChoiceFile::Notice& notice,
                               size_t most)
    : context_(context),
      source_(source),
      selector_(ChoiceFile(context.options().plan_cache, context.device().name, source.versions(), notice),
                !context.options().deterministic),
      chosen_(most) {}

Algorithm& AlgorithmCache::algorithm(const ConvProblem& problem, const Operands& operands) {
    return *chosen_.get(problem, [&] { return choose(problem, operands); });
}

std::unique_ptr<Algorithm> AlgorithmCache::choose(const ConvProblem& problem, const Operands& operands) {
    // Refused while the stream is captured. What runs now would be in the first candidate's time.
    check(cudaStreamSynchronize(context_.stream()), "choice of an algorithm");
    if (chosen_.full()) context_.forget_recordings();  // of the one that goes
    Algorithms candidates = source_.algorithms(problem);
    DeviceTrial trial(context_, problem, operands, candidates);
    return std::move(candidates[selector_.select(problem, trial)]);
}

}  // namespace gs::cuda
