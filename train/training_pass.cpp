#include "train/training_pass.h"

#include <algorithm>

#include "core/random.h"
#include "layers/training.h"

namespace gs::train {

// Decides what a pass keeps and for how long, then where it lies. Step i is node i's forward pass, step
// 2 N - i its backward pass, step N the loss.
class TrainingPass::Layout {
  public:
    Layout(const Net& net, const Parameters& parameters, const Shape& input)
        : net_(net),
          parameters_(parameters),
          count_(static_cast<int>(net.nodes.size())),
          plans_(net.nodes.size()) {
        infer_shapes(net, input);  // throws where the images do not fit
        values_.push_back(add(input, 0));
        for (int i = 0; i < count_; ++i) forward(i);
        touch(values_.back(), count_);
        contributions_.resize(values_.size());
        contributions_.back().push_back(seed_ = add(shape(values_.back()), count_));
        for (int i = count_ - 1; i >= 0; --i)
            if (plans_[at(i)].needed) backward(i);
        workspace_ = add({1, 1, 1, workspace_floats_}, 0);
        touch(workspace_, 2 * count_);
    }

    // Fills the pass's views.
    void place(TrainingPass& pass) {
        const size_t bytes = place_buffers(buffers_, 1);
        pass.arena_ = pass.backend_.allocate(bytes);
        pass.input_ = view(pass, values_[0]);
        pass.seed_ = view(pass, seed_);
        pass.workspace_ = view(pass, workspace_);
        for (size_t i = 0; i < plans_.size(); ++i) pass.nodes_.push_back(resolve(pass, i));
    }

  private:
    struct NodePlan {
        BufferId state = -1, joined = -1, addend = -1, dx = -1, g = -1;
        std::vector<BufferId> terms;
        bool needed = false;  // the gradient at its output is
    };

    const Net& net_;
    const Parameters& parameters_;
    int count_;
    std::vector<NodePlan> plans_;
    std::vector<PlannedBuffer> buffers_;
    std::vector<Shape> shapes_;                         // of buffers
    std::vector<BufferId> values_;                      // of ValueId
    std::vector<std::vector<BufferId>> contributions_;  // to the gradient at a ValueId
    BufferId seed_ = -1, workspace_ = -1;
    int64_t workspace_floats_ = 1;

    static size_t at(int i) { return static_cast<size_t>(i); }
    Shape shape(BufferId id) const { return shapes_[at(id)]; }  // a copy: add() moves them
    const Node& node(int i) const { return net_.nodes[at(i)]; }

    BufferId add(const Shape& s, int step, DType type = DType::F32) {
        buffers_.push_back({.shape = {1, s.n * s.h, s.w, s.c}, .dtype = type, .first = step, .last = step});
        shapes_.push_back(s);
        return static_cast<BufferId>(buffers_.size()) - 1;
    }
    void touch(BufferId id, int step) {
        PlannedBuffer& buffer = buffers_[at(id)];
        buffer.first = std::min(buffer.first, step);
        buffer.last = std::max(buffer.last, step);
    }
    bool needed(ValueId value) const { return value > 0 && plans_[at(value) - 1].needed; }

    void forward(int i) {
        const Node& n = node(i);
        std::vector<Shape> x;
        for (const ValueId input : n.inputs) {
            x.push_back(shape(values_[at(input)]));
            touch(values_[at(input)], i);
        }
        const Shape y = n.layer->output_shape(x);
        require_statistics(n, x[0]);
        values_.push_back(add(y, i));
        const Shape state = n.layer->state_shape(x[0]);
        if (state.n > 0) plans_[at(i)].state = add(state, i, n.layer->state_type());
        plans_[at(i)].needed =
            parameters_.learns(at(i)) ||
            std::any_of(n.inputs.begin(), n.inputs.end(), [&](ValueId input) { return needed(input); });
    }

    void require_statistics(const Node& n, const Shape& x) const {
        if (x.n * x.pixels() != 1 || dynamic_cast<const BatchNorm*>(n.layer.get()) == nullptr) return;
        throw Error(ErrorKind::Data, "a batch of one image of " + image_size() + " gives " + n.name +
                                         " one value a channel, and batch norm needs two: choose a 'batch' "
                                         "that leaves no image alone, or larger images");
    }
    std::string image_size() const {
        return std::to_string(shape(values_[0]).w) + "x" + std::to_string(shape(values_[0]).h);
    }

    void backward(int i) {
        const Node& n = node(i);
        NodePlan& plan = plans_[at(i)];
        const int step = 2 * count_ - i;
        plan.terms = contributions_[at(i) + 1];
        for (const BufferId term : plan.terms) touch(term, step);
        const bool masks = n.activation != Activation::None;
        const Shape y = shape(values_[at(i) + 1]);
        if (!n.layer->joins_terms() && (masks || plan.terms.size() > 1)) plan.joined = add(y, step);
        if (n.layer->passes_gradient()) {
            const BufferId sum = plan.joined >= 0 ? plan.joined : plan.terms[0];
            for (const ValueId input : n.inputs)
                if (needed(input)) contributions_[at(input)].push_back(sum);
        } else {
            differentiate(i, step);
        }
        const BackwardReads reads = n.layer->backward_reads(n.activation);
        if (reads.input || parameters_.learns(at(i))) touch(values_[at(n.inputs[0])], step);
        if (masks && (reads.output || plan.joined >= 0 || n.inputs.size() > 1))
            touch(values_[at(i) + 1], step);
        if (plan.state >= 0) touch(plan.state, step);
        workspace_floats_ = std::max(workspace_floats_, n.layer->training_workspace(y.n));
    }

    void differentiate(int i, int step) {
        const Node& n = node(i);
        NodePlan& plan = plans_[at(i)];
        if (needed(n.inputs[0])) {
            std::vector<BufferId>& terms = contributions_[at(n.inputs[0])];
            if (n.layer->adds_to_dx() && !terms.empty()) {
                touch(plan.addend = terms.back(), step);
                terms.pop_back();
            }
            terms.push_back(plan.dx = add(shape(values_[at(n.inputs[0])]), step));
        }
        if (n.inputs.size() > 1) {
            plan.g = add(shape(values_[at(n.inputs[1])]), step);
            if (needed(n.inputs[1])) contributions_[at(n.inputs[1])].push_back(plan.g);
        }
    }

    View view(const TrainingPass& pass, BufferId id) const {
        if (id < 0) return {};
        const PlannedBuffer& buffer = buffers_[at(id)];
        return pass.arena_.view(shape(id), buffer.offset, buffer.dtype);
    }
    NodeRun resolve(const TrainingPass& pass, size_t i) const {
        const Node& n = net_.nodes[i];
        const NodePlan& plan = plans_[i];
        NodeRun run;
        run.layer = n.layer.get();
        run.activation = n.activation;
        for (const ValueId input : n.inputs) run.x.push_back(view(pass, values_[at(input)]));
        for (const BufferId term : plan.terms) run.terms.push_back(view(pass, term));
        run.y = view(pass, values_[i + 1]);
        run.state = view(pass, plan.state);
        run.joined = view(pass, plan.joined);
        run.addend = view(pass, plan.addend);
        run.dx = view(pass, plan.dx);
        run.g = view(pass, plan.g);
        run.gradients = parameters_.gradients(i);
        run.differentiated = plan.needed;
        return run;
    }
};

TrainingPass::TrainingPass(Backend& backend, const Net& net, const Parameters& parameters, const Shape& input)
    : backend_(backend) {
    GS_REQUIRE(backend.map_type() == DType::F32);
    Layout(net, parameters, input).place(*this);
}

namespace {

uint64_t key_of(uint64_t draw, size_t node) {
    return Random({draw, node}).next();
}

}  // namespace

void TrainingPass::forward(uint64_t draw) {
    for (size_t i = 0; i < nodes_.size(); ++i) {
        const NodeRun& node = nodes_[i];
        node.layer->forward(backend_, {.x = node.x,
                                       .y = node.y,
                                       .state = node.state,
                                       .activation = node.activation,
                                       .draw = key_of(draw, i)});
    }
}

void TrainingPass::backward(Grad mode, uint64_t draw) {
    for (size_t i = nodes_.size(); i-- > 0;)
        if (nodes_[i].differentiated) train_node(nodes_[i], mode, key_of(draw, i));
}

void TrainingPass::train_node(const NodeRun& node, Grad mode, uint64_t draw) const {
    if (node.joined)
        backend_.pointwise_backward(
            {.terms = node.terms, .activation = node.activation, .y = node.y, .dx = node.joined});
    if (node.layer->passes_gradient()) return;
    node.layer->train_backward(backend_,
                               {.terms = node.joined ? std::span<const View>(&node.joined, 1) : node.terms,
                                .x = node.x[0],
                                .y = node.y,
                                .state = node.state,
                                .activation = node.activation,
                                .addend = node.addend,
                                .dx = node.dx,
                                .g = node.g,
                                .gradients = node.gradients,
                                .mode = mode,
                                .workspace = workspace_,
                                .draw = draw});
}

}  // namespace gs::train
