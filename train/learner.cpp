#include "train/learner.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"
#include "layers/training.h"
#include "train/schedule.h"
#include "train/training_graph.h"

namespace gs::train {
namespace {

// What a random stream is for.
enum Purpose : uint64_t { kMixupShare = 0x6d697875, kMixupOrder, kDraws };

// f(name of its module, layer) of every batch norm.
template <class F>
void for_each_batch_norm(const Net& net, const F& f) {
    for (const Node& node : net.nodes)
        if (const auto* norm = dynamic_cast<const BatchNorm*>(node.layer.get())) f(node.name, *norm);
}

int64_t channels_of(const TrainBatch& batch) {
    return static_cast<int64_t>(batch.pixels.size()) / (batch.n * batch.h * batch.w);
}

bool has_batch_norm(const Net& net) {
    bool has = false;
    for_each_batch_norm(net, [&](const std::string&, const BatchNorm&) { has = true; });
    return has;
}

}  // namespace

std::optional<Mixup> draw_mixup(const Recipe& recipe, int64_t step, int64_t images) {
    if (recipe.mixup_alpha <= 0) return std::nullopt;
    const auto at = static_cast<uint64_t>(step);
    Mixup mixup{.lambda = Random({recipe.seed, kMixupShare, at}).beta(recipe.mixup_alpha), .partners = {}};
    const Permutation order(Random({recipe.seed, kMixupOrder, at}), images);
    for (int64_t i = 0; i < images; ++i) mixup.partners.push_back(order(i));
    return mixup;
}

std::span<const float> mixed_images(const TrainBatch& batch, const std::optional<Mixup>& mixup, int64_t first,
                                    int64_t count, std::vector<float>& scratch) {
    const auto size = static_cast<int64_t>(batch.pixels.size()) / batch.n;
    const auto images = [&](int64_t from, int64_t n) {
        return batch.pixels.subspan(static_cast<size_t>(from * size), static_cast<size_t>(n * size));
    };
    if (!mixup || batch.is_mixed) return images(first, count);
    scratch.resize(static_cast<size_t>(count * size));
    const auto mine = static_cast<float>(mixup->lambda), others = static_cast<float>(1 - mixup->lambda);
    for (int64_t i = 0; i < count; ++i) {
        const auto a = images(first + i, 1), b = images(mixup->partners[static_cast<size_t>(first + i)], 1);
        float* to = scratch.data() + i * size;
        for (size_t k = 0; k < a.size(); ++k) to[k] = mine * a[k] + others * b[k];
    }
    return scratch;
}

Learner::Learner(Backend& backend, Net net, const Recipe& recipe, std::span<const Array> initial,
                 size_t memory_bytes)
    : backend_(backend),
      net_(std::move(net)),
      recipe_(recipe),
      parameters_(
          backend, net_, [&](const std::string& name) { return is_trained(recipe_, net_, name); }, initial),
      memory_bytes_(memory_bytes),
      whole_batches_(has_batch_norm(net_)) {}

void Learner::check(const TrainBatch& batch, const std::optional<Mixup>& mixup) const {
    const auto labelled = static_cast<int64_t>(batch.labels.size());
    GS_REQUIRE(batch.n > 0 && labelled > 0 && labelled <= batch.n);
    GS_REQUIRE(labelled == batch.n || recipe_.loss == Loss::EnergyMargins);
    GS_REQUIRE(batch.pixels.size() % static_cast<size_t>(batch.n * batch.h * batch.w) == 0);
    GS_REQUIRE(!mixup || (labelled == batch.n && mixup->partners.size() == batch.labels.size()));
    for (const int64_t label : batch.labels)
        if (label < 0 || label >= recipe_.classes)
            throw Error(ErrorKind::Data, "label " + std::to_string(label) + " is no class: the recipe has " +
                                             std::to_string(recipe_.classes));
}

TrainingPass& Learner::pass(const Shape& shape) {
    if (!pass_ || pass_shape_ != shape) {
        pass_.reset();  // its memory first
        pass_.emplace(backend_, net_, parameters_, shape);
        pass_shape_ = shape;
    }
    return *pass_;
}

int64_t Learner::part_size(const Shape& batch) {
    if (whole_batches_) return batch.n;
    const Shape image = batch.with_n(1);
    if (image_bytes_ == 0 || measured_ != image) {
        image_bytes_ = pass(image).arena_bytes();
        measured_ = image;
    }
    return std::clamp<int64_t>(static_cast<int64_t>(memory_bytes_ / image_bytes_), 1, batch.n);
}

int64_t Learner::least_images(const Shape& image) const {
    if (!whole_batches_) return 1;  // no batch norm
    const std::vector<Shape> shapes = infer_shapes(net_, image.with_n(1));
    const auto needs_two = [&](const Node& node) {
        return dynamic_cast<const BatchNorm*>(node.layer.get()) != nullptr &&
               shapes[static_cast<size_t>(node.inputs[0])].pixels() == 1;
    };
    return std::any_of(net_.nodes.begin(), net_.nodes.end(), needs_two) ? 2 : 1;
}

LossResult Learner::part_loss(const TrainBatch& batch, const std::optional<Mixup>& mixup, int64_t first,
                              int64_t count) {
    const auto labelled = static_cast<int64_t>(batch.labels.size());
    const int64_t begin = std::min(first, labelled), end = std::min(first + count, labelled);
    LossBatch loss;
    loss.logits = logits_;
    loss.labels = batch.labels.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    loss.labelled = labelled;
    loss.auxiliary = batch.n - labelled;
    if (mixup) {
        other_labels_.clear();
        for (int64_t i = begin; i < end; ++i)
            other_labels_.push_back(
                batch.labels[static_cast<size_t>(mixup->partners[static_cast<size_t>(i)])]);
        loss.other_labels = other_labels_;
        loss.lambda = mixup->lambda;
    }
    return loss_gradient(recipe_, loss, gradient_);
}

LossResult Learner::run_part(const TrainBatch& batch, const std::optional<Mixup>& mixup, int64_t first,
                             int64_t count, Grad mode) {
    TrainingPass& pass = this->pass({count, batch.h, batch.w, channels_of(batch)});
    const uint64_t draw =
        Random({recipe_.seed, kDraws, static_cast<uint64_t>(steps_done_), static_cast<uint64_t>(first)})
            .next();
    backend_.upload(mixed_images(batch, mixup, first, count, pixels_), pass.input());
    pass.forward(draw);
    logits_.resize(static_cast<size_t>(pass.logits().shape.size()));
    gradient_.resize(logits_.size());
    backend_.download(pass.logits(), logits_);
    backend_.synchronize();
    const LossResult result = part_loss(batch, mixup, first, count);
    if (!std::isfinite(result.loss)) return result;  // the step ends here
    backend_.upload(gradient_, pass.logits_gradient());
    pass.backward(mode, draw);
    return result;
}

StepResult Learner::step(const TrainBatch& batch, const std::optional<Mixup>& mixup) {
    check(batch, mixup);
    const int64_t part = part_size({batch.n, batch.h, batch.w, channels_of(batch)});
    StepResult result{.loss = 0, .correct = 0, .learning_rate = learning_rate(recipe_, steps_done_)};
    for (int64_t first = 0; first < batch.n; first += part) {
        const LossResult of_part = run_part(batch, mixup, first, std::min(part, batch.n - first),
                                            first == 0 ? Grad::Overwrite : Grad::Add);
        result.loss += of_part.loss;
        result.correct += of_part.correct;
        if (!std::isfinite(result.loss))
            throw Error(ErrorKind::Data,
                        "the loss of step " + std::to_string(steps_done_) +
                            " is not finite; a smaller learning rate or a longer warm-up may help");
    }
    parameters_.update(recipe_, result.learning_rate);
    ++steps_done_;
    return result;
}

std::vector<Array> Learner::values() const {
    std::vector<Array> arrays = parameters_.values();
    for_each_batch_norm(net_, [&](const std::string& name, const BatchNorm& norm) {
        for (const auto& [suffix, view] :
             {std::pair{".running_mean", norm.running_mean()}, {".running_var", norm.running_var()}}) {
            arrays.push_back(
                {name + suffix, {view.shape.c}, std::vector<float>(static_cast<size_t>(view.shape.c))});
            backend_.download(view, arrays.back().values);
        }
    });
    backend_.synchronize();
    return arrays;
}

void Learner::restore(std::span<const Array> values, std::span<const Array> momentum, int64_t steps_done) {
    parameters_.set_values(values);
    parameters_.set_momentum(momentum);
    for_each_batch_norm(net_, [&](const std::string& name, const BatchNorm& norm) {
        for (const auto& [suffix, view] :
             {std::pair{".running_mean", norm.running_mean()}, {".running_var", norm.running_var()}}) {
            const Array* array = find(values, name + suffix);
            GS_REQUIRE(array != nullptr);
            backend_.upload(array->values, view);
        }
    });
    steps_done_ = steps_done;
}

}  // namespace gs::train
