// Seeds that the host computes.
#include <memory>

#include "passes/planner.h"

namespace gs {

Step host_seed_step(const Cotangent& cotangent, BufferId value, BufferId gradient, int copy) {
    struct Scratch {
        std::vector<float> value, gradient;
    };
    Step step{.phase = Step::Phase::Backward, .what = "seed: " + cotangent.loss->name()};
    step.on_host = true;
    step.reads = {value};
    step.writes = {gradient};
    step.run = [=, loss = cotangent.loss, scratch = std::make_shared<Scratch>()](const StepContext& at) {
        const View from = at.view(value);
        const auto columns = static_cast<size_t>(from.shape.c);
        scratch->value.resize(static_cast<size_t>(from.shape.size()));
        scratch->gradient.resize(scratch->value.size());
        at.backend.download(from, scratch->value);
        at.backend.synchronize();
        for (int64_t n = 0; n < at.samples; ++n) {
            const auto offset = static_cast<size_t>(n) * columns;
            loss->gradient(at.first_sample + n, std::span(scratch->value).subspan(offset, columns),
                           std::span(scratch->gradient).subspan(offset, columns));
        }
        at.backend.upload(scratch->gradient, at.rows(gradient, copy));
    };
    return step;
}

}  // namespace gs
