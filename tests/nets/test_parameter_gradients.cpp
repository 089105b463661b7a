// The gradient of every parameter tensor of every golden net, explicit and of one image at a time: its norms
// against the float64 oracle's. The walk over the net is this test's own; neither planner nor fusion take
// part.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "nets/net.h"
#include "tests/support/backends.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"

namespace gs::test {
namespace {

using Gradients = std::map<std::string, std::vector<float>>;

// Forward and backward of one batch, every value in memory of its own.
class Walk {
  public:
    Walk(Backend& backend, const Net& net, const ref::Tensor<float>& images)
        : backend_(backend), net_(net), gradients_(net.nodes.size() + 1) {
        values_.push_back(make(images.shape));
        backend_.upload(images.values, values_[0].view(images.shape));
        shapes_.push_back(images.shape);
        for (const Node& node : net_.nodes) forward(node);
    }

    // Of L = sum_c -log softmax(z)_c, summed over the batch.
    Gradients parameter_gradients() {
        accumulate(net_.logits(), [&](View to) {
            backend_.seed_logits(Seed::UniformCrossEntropy, 1, 0, value(net_.logits()), to);
        });
        for (size_t i = net_.nodes.size(); i-- > 0;) backward(i);
        return std::move(parameters_);
    }

  private:
    Backend& backend_;
    const Net& net_;
    std::vector<Buffer> values_, states_, gradients_;
    std::vector<Shape> shapes_;
    Gradients parameters_;

    Buffer make(const Shape& shape) {
        return backend_.allocate(static_cast<size_t>(shape.size()) * sizeof(float));
    }
    View value(ValueId id) const {
        return values_[static_cast<size_t>(id)].view(shapes_[static_cast<size_t>(id)]);
    }
    View state(size_t node) const {
        const Node& n = net_.nodes[node];
        const Shape shape = n.layer->state_shape(shapes_[static_cast<size_t>(n.inputs[0])]);
        return shape.n > 0 ? states_[node].view(shape, 0, n.layer->state_type()) : View{};
    }

    void forward(const Node& node) {
        std::vector<View> inputs;
        std::vector<Shape> shapes;
        for (const ValueId input : node.inputs) {
            inputs.push_back(value(input));
            shapes.push_back(inputs.back().shape);
        }
        shapes_.push_back(node.layer->output_shape(shapes));
        values_.push_back(make(shapes_.back()));
        states_.push_back(make(node.layer->state_shape(shapes[0])));
        node.layer->forward(backend_, {.x = inputs,
                                       .y = value(static_cast<ValueId>(shapes_.size()) - 1),
                                       .state = state(states_.size() - 1)});
    }

    // fill(view) writes a contribution to the gradient at `id`.
    template <class Fill>
    void accumulate(ValueId id, const Fill& fill) {
        const Shape& shape = shapes_[static_cast<size_t>(id)];
        Buffer& sum = gradients_[static_cast<size_t>(id)];
        Buffer term = make(shape);
        fill(term.view(shape));
        if (sum.bytes() > 0)
            backend_.add(sum.view(shape), term.view(shape), Activation::None, term.view(shape));
        sum = std::move(term);
    }

    void backward(size_t i) {
        const Node& node = net_.nodes[i];
        const View dy = gradients_[i + 1].view(shapes_[i + 1]);
        if (!node.parameters.empty()) backward_weights(i, dy);
        if (node.layer->passes_gradient()) {
            for (const ValueId input : node.inputs)
                accumulate(input, [&](View to) { backend_.copy(dy, to); });
        } else if (node.inputs[0] > 0) {
            accumulate(node.inputs[0], [&](View to) {
                node.layer->backward(backend_, {.terms = {&dy, 1},
                                                .x = value(node.inputs[0]),
                                                .y = value(static_cast<ValueId>(i) + 1),
                                                .state = state(i),
                                                .dx = to});
            });
        }
    }

    void backward_weights(size_t i, View dy) {
        const Node& node = net_.nodes[i];
        const std::vector<Parameter> described = node.layer->parameters();
        std::vector<Buffer> buffers;
        std::vector<View> views;
        for (const Parameter& parameter : described) {
            const Shape shape{1, 1, 1, element_count(parameter)};
            buffers.push_back(make(shape));
            views.push_back(buffers.back().view(shape));
        }
        const Shape workspace{1, 1, 1, node.layer->backward_weights_workspace(dy.shape.n)};
        const Buffer scratch = make(workspace);
        node.layer->backward_weights(backend_, {.x = value(node.inputs[0]),
                                                .dy = dy,
                                                .state = state(i),
                                                .gradients = views,
                                                .workspace = scratch.view(workspace)});
        for (size_t k = 0; k < views.size(); ++k) {
            std::vector<float>& host = parameters_[node.parameters[k]];
            host.resize(static_cast<size_t>(views[k].shape.size()));
            backend_.download(views[k], host);
        }
    }
};

ref::Tensor<float> image(const ref::Tensor<float>& all, int64_t n) {
    ref::Tensor<float> one(all.shape.with_n(1));
    std::copy_n(all.values.begin() + n * one.shape.size(), one.shape.size(), one.values.begin());
    return one;
}

class ParameterGradients : public testing::TestWithParam<GoldenCase> {
  protected:
    void SetUp() override {
        if (!GetParam().is_here()) GTEST_SKIP() << "needs the folder ../shared, which is not here";
    }
};

TEST_P(ParameterGradients, NormsOfEveryTensor) {
    const GoldenNet golden(GetParam());
    const auto names = golden.file().names("param_names");
    const ref::Tensor<float> images = golden.input();
    // golden/README.md: relative to each column's largest value; deep nets flip ReLUs in float32.
    const double tol = GetParam().deep ? 5e-3 : 1e-4;
    for (const BackendUnderTest& b : backends_under_test()) {
        SCOPED_TRACE(b.name);
        const Net net = golden.build(*b.backend);
        std::map<std::string, std::vector<float>> l1, l2;
        for (int64_t n = 0; n < images.shape.n; ++n) {
            for (const auto& [name, gradient] :
                 Walk(*b.backend, net, image(images, n)).parameter_gradients()) {
                double absolute = 0, square = 0;
                for (const double v : gradient) {
                    absolute += std::abs(v);
                    square += v * v;
                }
                l1[name].push_back(static_cast<float>(absolute));
                l2[name].push_back(static_cast<float>(std::sqrt(square)));
            }
        }
        EXPECT_EQ(l1.size(), names.size());
        const std::vector<double> want_l1 = golden.file().doubles("gradnorm/param_l1"),
                                  want_l2 = golden.file().doubles("gradnorm/param_l2");
        for (size_t column = 0; column < names.size(); ++column) {
            std::vector<double> w1, w2;
            for (size_t i = column; i < want_l1.size(); i += names.size()) {
                w1.push_back(want_l1[i]);
                w2.push_back(want_l2[i]);
            }
            expect_close(names[column] + " l1", l1[names[column]], w1, tol);
            expect_close(names[column] + " l2", l2[names[column]], w2, tol);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Golden, ParameterGradients, testing::ValuesIn(all_golden_nets()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace gs::test
