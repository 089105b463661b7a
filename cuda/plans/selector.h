// Which algorithm a convolution runs with: the fastest that works, or the first. Needs no CUDA.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cuda/plans/choice_file.h"
#include "cuda/plans/problem.h"

namespace gs::cuda {

// Tries the candidates of one problem: on the device (engine/trial.h), or made up in tests.
class PlanTrial {
  public:
    virtual ~PlanTrial() = default;
    // Names of the candidates, the most promising first.
    virtual std::vector<std::string> names() const = 0;
    // Runs one once, its workspace included; milliseconds. Throws Error where it does not run:
    // ErrorKind::Device where its workspace does not fit.
    virtual double run(size_t candidate) = 0;
    // Of data gradients: whether every dx that no non-zero dy reaches is zero. Throws as run().
    virtual bool keeps_zeros(size_t candidate) = 0;
    // Of forward passes with a ReLU: whether weights that are NaN make every y NaN, which max(0, y) of some
    // libraries does not. Throws as run().
    virtual bool keeps_nan(size_t candidate) = 0;
};

class PlanSelector {
  public:
    // timed: measure on first use, and remember. Otherwise the first candidate that works.
    PlanSelector(ChoiceFile file, bool timed) : file_(std::move(file)), timed_(timed) {}

    // The candidate to use. Throws Error naming problem and reason where none works; of kind Device where
    // memory was the reason for any.
    size_t select(const ConvProblem& problem, PlanTrial& trial);

  private:
    ChoiceFile file_;
    bool timed_;
};

}  // namespace gs::cuda
