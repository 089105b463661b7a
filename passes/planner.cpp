#include "passes/planner.h"

#include <algorithm>

#include "layers/pool.h"

namespace gs {

View StepContext::view(BufferId id) const {
    return rows(id, 0, plan.buffers[static_cast<size_t>(id)].copies);
}

View StepContext::rows(BufferId id, int first, int count) const {
    const PlannedBuffer& buffer = plan.buffers[static_cast<size_t>(id)];
    const View all = arena.view(buffer.shape.with_n(samples * buffer.copies), buffer.offset, buffer.dtype);
    return all.samples(first * samples, count * samples);
}

double Plan::flops(Step::Phase phase) const {
    double sum = 0;
    for (const Step& step : steps)
        if (step.phase == phase) sum += step.flops;
    return sum;
}

namespace {

std::string extent(const Shape& map) {
    return std::to_string(map.w) + "x" + std::to_string(map.h);
}

// At a node whose input is a map that the layer does not take.
[[noreturn]] void throw_unfit(const Net& net, const Shape& image, const Node& node, const Shape& map) {
    const auto* pool = dynamic_cast<const AveragePool*>(node.layer.get());
    const bool windowed = pool != nullptr && pool->window() > 0 && map.size() > 0;
    const std::string window = windowed ? extent({1, pool->window(), pool->window(), 1}) : "";
    throw Error(ErrorKind::Data,
                "images of " + extent(image) + " do not fit " + net.name + " (at " +
                    (windowed ? "an average pool of " + window + " over a map of " + extent(map)
                              : node.layer->kind() + " " + node.name) +
                    "); choose another --resize or --crop" +
                    (windowed ? R"(, or run the weights under --arch with {"pool_window": 0})" : ""));
}

}  // namespace

std::vector<Shape> infer_shapes(const Net& net, const Shape& image) {
    std::vector<Shape> shapes{image};
    for (const Node& node : net.nodes) {
        std::vector<Shape> inputs;
        for (const ValueId input : node.inputs) {
            const Shape& map = inputs.emplace_back(shapes[static_cast<size_t>(input)]);
            if (map.size() <= 0 || !node.layer->fits(map)) throw_unfit(net, image, node, map);
        }
        shapes.push_back(node.layer->output_shape(inputs));
    }
    return shapes;
}

PlanWriter::PlanWriter(Backend& backend, const Net& net, int64_t height, int64_t width, int64_t max_batch)
    : backend_(backend), net_(net), shapes_(infer_shapes(net, {1, height, width, 3})) {
    plan_.image = shapes_[0];
    plan_.max_batch = max_batch;
    for (size_t i = 0; i < net.nodes.size(); ++i)
        for (const ValueId input : net.nodes[i].inputs)
            GS_REQUIRE(net.nodes[i].layer->changes_type() ||
                       type(input) == type(static_cast<ValueId>(i) + 1));
}

double PlanWriter::flops(int node) const {
    const Node& n = net_.nodes[static_cast<size_t>(node)];
    std::vector<Shape> inputs;
    for (const ValueId input : n.inputs) inputs.push_back(shape(input));
    return n.layer->flops(inputs);
}

BufferId PlanWriter::new_buffer(const Shape& shape, DType dtype, int copies) {
    GS_REQUIRE(shape.n == 1);
    plan_.buffers.push_back({.shape = shape, .dtype = dtype, .copies = copies});
    return static_cast<BufferId>(plan_.buffers.size()) - 1;
}

void PlanWriter::touch(BufferId id, int step) {
    PlannedBuffer& buffer = plan_.buffers[static_cast<size_t>(id)];
    if (buffer.first < 0) buffer.first = step;
    buffer.last = step;
}

void PlanWriter::add_step(Step step) {
    const auto index = static_cast<int>(plan_.steps.size());
    for (const BufferId id : step.reads) touch(id, index);
    for (const BufferId id : step.writes) touch(id, index);
    plan_.steps.push_back(std::move(step));
}

void PlanWriter::add_output(BufferId buffer, int copy, std::function<Matrix&(Evidence&)> target) {
    GS_REQUIRE(type_of(buffer) == DType::F32);
    plan_.outputs.push_back({.buffer = buffer, .copy = copy, .target = std::move(target)});
}

size_t PlanWriter::add_constant(std::span<const float> values) {
    plan_.constants.push_back(backend_.upload(values));
    return plan_.constants.size() - 1;
}

Plan PlanWriter::finish(BufferId input) {
    plan_.input = input;
    const auto end = static_cast<int>(plan_.steps.size());
    plan_.buffers[static_cast<size_t>(input)].first = 0;  // written before the first step
    for (const Output& output : plan_.outputs) touch(output.buffer, end);
    plan_.arena_bytes = place_buffers(plan_.buffers, plan_.max_batch);
    return std::move(plan_);
}

namespace {

// The forward pass on the changed image, as far as what is collected of it.
void emit_second_pass(PlanWriter& plan, BufferId changed, const Cotangent& cotangent,
                      const SecondPass& second) {
    const TapReduction mean{second.tap, Reduction::Mean};
    const bool whole = second.tap.empty();
    ForwardNeeds needs;
    if (!whole) needs.activations.push_back(mean);
    const ValueId last = whole ? plan.net().logits() : plan.net().tap(second.tap).value;
    const ForwardBuffers forward = emit_forward(plan, changed, needs, last, Step::Phase::Second);
    plan.add_output(
        whole ? forward.values.back() : forward.activations.at(mean), 0,
        [key = std::pair(cotangent, second)](Evidence& e) -> Matrix& { return e.second_passes[key]; });
}

void emit_second_passes(PlanWriter& plan, const BackwardGroup& group, BufferId image, BufferId gradient) {
    for (size_t k = 0; k < group.passes.size(); ++k) {
        const Backward& pass = group.passes[k];
        for (const SecondPass& second : pass.second) {
            std::vector<float> step(3, second.epsilon);
            for (size_t c = 0; c < second.scale.size(); ++c) step[c] /= second.scale[c];
            const size_t constant = plan.add_constant(step);
            const BufferId changed = plan.new_value(0);
            plan.add_step({.phase = Step::Phase::Second,
                           .what = "sign step",
                           .reads = {image, gradient},
                           .writes = {changed},
                           .run = [=](const StepContext& at) {
                               at.backend.sign_step(at.view(image), at.rows(gradient, static_cast<int>(k)),
                                                    at.plan.constants[constant].view({1, 1, 1, 3}),
                                                    at.view(changed));
                           }});
            emit_second_pass(plan, changed, pass.cotangent, second);
        }
    }
}

bool has_second_pass(const BackwardGroup& group) {
    return std::any_of(group.passes.begin(), group.passes.end(),
                       [](const Backward& b) { return !b.second.empty(); });
}

}  // namespace

Plan plan_passes(Backend& backend, const Net& net, const Request& request, int64_t height, int64_t width,
                 int64_t max_batch) {
    PlanWriter plan(backend, net, height, width, max_batch);
    std::vector<BackwardGroup> groups = analyse_backwards(backend, net, request.backwards);
    ForwardNeeds needs{
        .values = {net.features(), net.logits()}, .states = {}, .activations = request.activations};
    for (const BackwardGroup& group : groups) {
        add_backward_needs(net, group, needs);
        if (has_second_pass(group)) needs.values.insert(0);
    }
    for (BackwardGroup& group : groups) add_norm_outputs(plan, group, needs);

    const BufferId image = plan.new_value(0);
    const ForwardBuffers forward = emit_forward(plan, image, needs, net.logits(), Step::Phase::Forward);
    const auto buffer_of = [&](ValueId value) { return forward.values[static_cast<size_t>(value)]; };
    if (request.logits)
        plan.add_output(buffer_of(net.logits()), 0, [](Evidence& e) -> Matrix& { return e.logits; });
    if (request.features)
        plan.add_output(buffer_of(net.features()), 0, [](Evidence& e) -> Matrix& { return e.features; });
    for (const TapReduction& wanted : request.activations)
        plan.add_output(forward.activations.at(wanted), 0,
                        [wanted](Evidence& e) -> Matrix& { return e.activations[wanted]; });
    for (const BackwardGroup& group : groups) {
        const BufferId gradient = emit_backward(plan, group, forward);
        emit_second_passes(plan, group, image, gradient);
    }
    return plan.finish(image);
}

}  // namespace gs
