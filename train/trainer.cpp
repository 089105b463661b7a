#include "train/trainer.h"

#include <algorithm>

#include "train/start.h"
#include "train/training_graph.h"

namespace gs::train {
namespace {

// The head of a net as a net of its own: features in, logits out. It shares the layer.
Net head_of(const Net& net) {
    Net head = net;
    Node last = net.nodes.back();
    last.inputs = {0};
    head.nodes = {std::move(last)};
    head.taps.clear();
    return head;
}

void require_arrays(std::span<const Array> wanted, std::span<const Array> given, const char* what) {
    for (const Array& array : wanted) {
        const Array* found = find(given, array.name);
        if (found == nullptr) throw Error(ErrorKind::Weights, std::string(what) + ": missing " + array.name);
        if (found->shape != array.shape || found->values.size() != array.values.size())
            throw Error(ErrorKind::Weights, std::string(what) + ": " + array.name + " is " +
                                                to_string(found->shape) + ", needed " +
                                                to_string(array.shape));
    }
}

}  // namespace

Trainer::Trainer(Backend& backend, const WeightFile* weights, const Recipe& recipe,
                 const TrainerOptions& options)
    : backend_(backend),
      recipe_(recipe),
      architecture_(starting_architecture(recipe, weights)),
      head_only_(recipe.open_blocks == 0) {
    GS_REQUIRE(recipe.steps > 0);
    if (head_only_) {
        evaluated_ = read(weights, std::nullopt);
        learner_ =
            std::make_unique<Learner>(backend, head_of(*evaluated_), recipe, start_, options.memory_bytes);
    } else {
        const Net net = read(weights, TrainingNet{.dropout = static_cast<float>(recipe.dropout)});
        learner_ =
            std::make_unique<Learner>(backend, fuse_for_training(net), recipe, start_, options.memory_bytes);
    }
}

Net Trainer::read(const WeightFile* weights, const std::optional<TrainingNet>& training) {
    std::optional<WeightReader> file;
    if (weights != nullptr) file.emplace(*weights);
    const WeightReader::Source source = starting_weights(recipe_, architecture_, file ? &*file : nullptr);
    WeightReader recording([&](const std::string& name, const std::vector<int64_t>& shape) {
        start_.push_back({name, shape, source(name, shape)});
        return start_.back().values;
    });
    Net net = build_net(backend_, recording, architecture_, training);
    if (file) file->finish(false);
    return net;
}

void Trainer::check_size(int64_t n, int64_t h, int64_t w) {
    if (head_only_)
        infer_shapes(*evaluated_, {n, h, w, 3});
    else
        learner_->check_size({n, h, w, 3});
}

StepResult Trainer::step(const TrainBatch& batch) {
    return step(batch, draw_mixup(recipe_, steps_done(), batch.n));
}

StepResult Trainer::step(const TrainBatch& batch, const std::optional<Mixup>& mixup) {
    if (!head_only_) return learner_->step(batch, mixup);
    const std::vector<float> inputs = features_of(batch, mixup);
    TrainBatch head = batch;
    head.pixels = inputs;
    head.h = head.w = 1;
    head.is_mixed = true;
    return learner_->step(head, mixup);
}

StepResult Trainer::step_on_features(const TrainBatch& batch) {
    GS_REQUIRE(head_only_ && batch.h == 1 && batch.w == 1 &&
               static_cast<int64_t>(batch.pixels.size()) == batch.n * feature_count());
    return learner_->step(batch, draw_mixup(recipe_, steps_done(), batch.n));
}

int64_t Trainer::feature_count() const {
    GS_REQUIRE(head_only_);
    return evaluated_->head.features;
}

std::vector<float> Trainer::features_of(const TrainBatch& batch, const std::optional<Mixup>& mixup) {
    constexpr int64_t kImages = 32;  // mixed at a time
    if (!features_) features_ = std::make_unique<Executor>(backend_, *evaluated_, Request{.features = true});
    std::vector<float> all, scratch;
    for (int64_t first = 0; first < batch.n; first += kImages) {
        const int64_t count = std::min(kImages, batch.n - first);
        const Evidence part =
            features_->run(mixed_images(batch, mixup, first, count, scratch), count, batch.h, batch.w);
        all.insert(all.end(), part.features.values.begin(), part.features.values.end());
    }
    return all;
}

std::vector<float> Trainer::features(std::span<const float> pixels, int64_t n, int64_t h, int64_t w) {
    GS_REQUIRE(head_only_);
    return features_of({.pixels = pixels, .n = n, .h = h, .w = w}, std::nullopt);
}

void Trainer::prepare_evaluation() {
    if (!evaluated_ || (!head_only_ && evaluated_at_ != steps_done())) {
        logits_.reset();
        const std::vector<Array> now = weights();
        WeightReader reader([&](const std::string& name, const std::vector<int64_t>&) {
            const Array* array = find(now, name);
            GS_REQUIRE(array != nullptr);
            return array->values;
        });
        evaluated_ = build_net(backend_, reader, architecture_);
        evaluated_at_ = steps_done();
    }
    if (!logits_) logits_ = std::make_unique<Executor>(backend_, *evaluated_, Request{.logits = true});
}

LossResult Trainer::evaluate(std::span<const float> pixels, int64_t n, int64_t h, int64_t w,
                             std::span<const int64_t> labels) {
    prepare_evaluation();
    return evaluation_loss(recipe_, logits_->run(pixels, n, h, w).logits.values, labels);
}

std::vector<Array> Trainer::weights() const {
    std::vector<Array> all = start_;
    const std::vector<Array> learned = learner_->values();
    for (Array& array : all)
        if (const Array* now = find(learned, array.name)) array.values = now->values;
    return all;
}

void Trainer::restore(std::span<const Array> weights, std::span<const Array> optimiser_state,
                      int64_t steps_done) {
    require_arrays(start_, weights, "weights of the run");
    require_arrays(learner_->momentum(), optimiser_state, "state of the optimiser");
    learner_->restore(weights, optimiser_state, steps_done);
    evaluated_at_ = -1;
}

}  // namespace gs::train
