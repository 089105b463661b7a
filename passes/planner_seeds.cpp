// Where cotangents start: their gradients at the logits, and from there those at the pooled features.
#include <memory>

#include "passes/planner.h"

namespace gs {
namespace {

Step step_between(std::string what, std::vector<BufferId> reads, std::vector<BufferId> writes) {
    return {.phase = Step::Phase::Backward,
            .what = std::move(what),
            .reads = std::move(reads),
            .writes = std::move(writes)};
}

}  // namespace

Step host_seed_step(const Cotangent& cotangent, BufferId value, BufferId gradient, int copy) {
    struct Scratch {
        std::vector<float> value, gradient;
    };
    Step step = step_between("seed: " + cotangent.loss->name(), {value}, {gradient});
    step.on_host = true;
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

namespace {

Seed seed_of(Cotangent::Kind kind) {
    switch (kind) {
        case Cotangent::Kind::UniformCrossEntropy:
            return Seed::UniformCrossEntropy;
        case Cotangent::Kind::MaxLogit:
            return Seed::MaxLogit;
        case Cotangent::Kind::PredictedCrossEntropy:
            return Seed::PredictedCrossEntropy;
        case Cotangent::Kind::ClassCrossEntropy:
            return Seed::ClassCrossEntropy;
        case Cotangent::Kind::ClassBinaryCrossEntropy:
            return Seed::ClassBinaryCrossEntropy;
        case Cotangent::Kind::FeatureSum:
        case Cotangent::Kind::Host:
            break;
    }
    GS_REQUIRE(false && "no seed at the logits");
    return {};
}

class SeedEmitter {
  public:
    SeedEmitter(PlanWriter& plan, const BackwardGroup& group, const ForwardBuffers& forward)
        : plan_(plan),
          net_(plan.net()),
          group_(group),
          forward_(forward),
          gradient_(plan.new_value(net_.features(), static_cast<int>(group.passes.size()))) {}

    Seeds run() {
        if (!group_.combined.empty()) {
            const BufferId coefficients = emit_coefficients();
            emit_class_rows();
            return {gradient_, coefficients};
        }
        for (int k = 0; k < static_cast<int>(group_.passes.size()); ++k) emit_cotangent(k);
        return {gradient_, -1};
    }

  private:
    PlanWriter& plan_;
    const Net& net_;
    const BackwardGroup& group_;
    const ForwardBuffers& forward_;
    BufferId gradient_;  // at the pooled features

    void emit_cotangent(int k) {
        const Cotangent& cotangent = group_.passes[static_cast<size_t>(k)].cotangent;
        if (cotangent.kind == Cotangent::Kind::FeatureSum) {
            Step step = step_between("seed: " + to_string(cotangent), {}, {gradient_});
            step.run = [k, gradient = gradient_](const StepContext& at) {
                at.backend.fill(at.rows(gradient, k), 1);
            };
            plan_.add_step(std::move(step));
            return;
        }
        const BufferId dz = plan_.new_value(net_.logits());
        plan_.add_step(seed_step(cotangent, dz, 0));
        emit_head_backward(k, {dz}, [=](const StepContext& at) { return at.view(dz); });
        emit_head_norms(dz, k, 1);
    }

    // Row k of the gradient at the pooled features, from that at the logits.
    template <class AtLogits>
    void emit_head_backward(int k, std::vector<BufferId> reads, AtLogits at_logits) {
        Step step = step_between("backward of the head", std::move(reads), {gradient_});
        step.flops = plan_.flops(net_.logits() - 1);
        step.run = [=, head = net_.nodes.back().layer.get(), gradient = gradient_](const StepContext& at) {
            const View terms[] = {at_logits(at)};
            head->backward(at.backend, {.terms = terms, .dx = at.rows(gradient, k)});
        };
        plan_.add_step(std::move(step));
    }

    void emit_head_norms(BufferId dz, int first, int count) {
        const bool reads_input = wanted_norms(group_, net_.nodes.back()).reads_input();
        emit_gradient_norms(plan_, group_.losses(), net_.logits() - 1,
                            {.delta = reads_input ? dz : -1,
                             .sums = dz,
                             .x = reads_input ? forward_.values[static_cast<size_t>(net_.features())] : -1,
                             .first = first,
                             .count = count});
    }

    // The losses' gradients at the logits, which are all that is particular to them.
    BufferId emit_coefficients() {
        const int count = static_cast<int>(group_.combined.size());
        const BufferId coefficients = plan_.new_value(net_.logits(), count);
        for (int k = 0; k < count; ++k)
            plan_.add_step(seed_step(group_.combined[static_cast<size_t>(k)].cotangent, coefficients, k));
        emit_head_norms(coefficients, 0, count);
        return coefficients;
    }

    // Each class's logit by itself.
    void emit_class_rows() {
        const int64_t classes = net_.head.classes, batch = plan_.max_batch();
        std::vector<float> rows(static_cast<size_t>(classes * batch * classes), 0.0f);
        for (int64_t row = 0; row < classes * batch; ++row)
            rows[static_cast<size_t>(row * classes + row / batch)] = 1;
        const size_t constant = plan_.add_constant(rows);
        for (int k = 0; k < static_cast<int>(classes); ++k)
            emit_head_backward(k, {}, [=](const StepContext& at) {
                return at.plan.constants[constant]
                    .view({classes * batch, 1, 1, classes})
                    .samples(k * batch, at.samples);
            });
    }

    // The cotangent's gradient at the logits, to row k of dz.
    Step seed_step(const Cotangent& cotangent, BufferId dz, int k) {
        const BufferId logits = forward_.values.back();
        if (cotangent.kind == Cotangent::Kind::Host) return host_seed_step(cotangent, logits, dz, k);
        const bool of_class = cotangent.kind == Cotangent::Kind::ClassCrossEntropy ||
                              cotangent.kind == Cotangent::Kind::ClassBinaryCrossEntropy;
        const int64_t classes = plan_.shape(net_.logits()).c;
        if (of_class && (cotangent.target < 0 || cotangent.target >= classes))
            throw Error(ErrorKind::Usage, to_string(cotangent) + ": " + net_.name + " has " +
                                              std::to_string(classes) + " classes");
        Step step = step_between("seed: " + to_string(cotangent), {logits}, {dz});
        step.run = [=, seed = seed_of(cotangent.kind), t = cotangent.temperature,
                    target = of_class ? cotangent.target : 0](const StepContext& at) {
            at.backend.seed_logits(seed, t, target, at.view(logits), at.rows(dz, k));
        };
        return step;
    }
};

}  // namespace

Seeds emit_seeds(PlanWriter& plan, const BackwardGroup& group, const ForwardBuffers& forward) {
    return SeedEmitter(plan, group, forward).run();
}

}  // namespace gs
