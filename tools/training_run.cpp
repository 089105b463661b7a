#include "tools/training_run.h"

#include <cmath>
#include <limits>
#include <utility>

#include "core/printable.h"
#include "report/text.h"
#include "tools/batches.h"
#include "tools/setup.h"
#include "tools/stored_preprocess.h"
#include "train/schedule.h"

namespace gs {
namespace {

namespace fs = std::filesystem;
using train::Tally;

fs::path log_path(const fs::path& out) {
    return out / "log.jsonl";
}

constexpr int64_t kFeatureBatch = 64;

std::string figures(double loss, double accuracy) {
    return "loss " + fixed(loss, 4) + ", accuracy " + percent(accuracy) + " %";
}

// Throws where so many images in a row could not be used that the rest will be no better.
void count_in_a_row(int64_t& in_a_row, const ImageSet& set, bool any_used, int64_t unused) {
    constexpr int64_t kHopeless = 100;
    in_a_row = any_used ? 0 : in_a_row + unused;
    if (in_a_row >= kHopeless)
        throw Error(ErrorKind::Data,
                    set.name() + ": none of the last " + std::to_string(in_a_row) + " images could be used");
}

}  // namespace

fs::path checkpoint_path(const fs::path& out) {
    return out / "checkpoint.safetensors";
}

TrainingRun::TrainingRun(train::Trainer& trainer, const TrainingSets& sets, const train::Checkpoint& start,
                         const TrainingRunOptions& options)
    : trainer_(trainer),
      sets_(sets),
      options_(options),
      checkpoint_{start.identity, start.circumstances, {}, {}, {}},
      state_(start.state),
      epoch_steps_(train::steps_an_epoch(options.recipe, sets.images->size())),
      epochs_((options.recipe.steps + epoch_steps_ - 1) / epoch_steps_),
      log_(log_path(options.out), start.state.log_bytes),
      progress_(options.recipe_name, images_until(options.recipe.steps), options.progress,
                images_until(start.state.step)),
      learning_rate_(state_.step > 0 ? train::learning_rate(options.recipe, state_.step - 1) : 0) {
    if (options.cache_features && state_.step < options.recipe.steps) cache_features();
    feed_ = make_feed();
}

std::unique_ptr<train::BatchSource> TrainingRun::make_feed() {
    if (options_.cache_features)
        return std::make_unique<train::FeatureFeed>(features_, options_.recipe, state_.step);
    return std::make_unique<train::Feed>(*sets_.images, sets_.auxiliary.get(), options_.recipe,
                                         train::FeedOptions{.preprocess = options_.preprocess,
                                                            .threads = options_.threads,
                                                            .first_step = state_.step,
                                                            .limits = options_.limits});
}

// Of the images as they are evaluated.
void TrainingRun::cache_features() {
    const ImageSet& set = *sets_.images;
    const auto images = static_cast<size_t>(set.size());
    features_.width = trainer_.feature_count();
    features_.values.resize(images * static_cast<size_t>(features_.width));
    features_.usable.resize(images);
    features_.labels.resize(images);
    Progress progress("features", set.size(), options_.progress);
    Loader loader(set, options_.evaluation,
                  {.batch = kFeatureBatch, .threads = options_.threads, .limits = options_.limits});
    for (int64_t done = 0; auto batch = loader.next();) {
        note_failures(set, batch->failures);
        std::vector<float> rows;
        if (batch->count > 0)
            rows = trainer_.features(batch->pixels, batch->count, batch->height, batch->width);
        for (size_t i = 0; i < batch->indices.size(); ++i) {
            const auto image = static_cast<size_t>(batch->indices[i]);
            std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(i) * features_.width, features_.width,
                        features_.values.begin() + static_cast<std::ptrdiff_t>(image) * features_.width);
            features_.usable[image] = true;
            features_.labels[image] = set.item(batch->indices[i]).label.value();
        }
        done += batch->count + static_cast<int64_t>(batch->failures.size());
        progress.update(done, excluded());
        loader.recycle(std::move(*batch));
        if (interrupted()) throw Error(ErrorKind::Interrupted, "interrupted while features were computed");
    }
    progress.finish();
}

// Labelled images of the steps before this one.
int64_t TrainingRun::images_until(int64_t step) const {
    const int64_t images = sets_.images->size();
    return step / epoch_steps_ * images + std::min(step % epoch_steps_ * options_.recipe.batch, images);
}

std::string TrainingRun::epoch_text() const {
    return "epoch " + std::to_string(epoch()) + "/" + std::to_string(epochs_);
}

bool TrainingRun::at_epoch_end() const {
    return state_.step > 0 && (state_.step % epoch_steps_ == 0 || state_.step == options_.recipe.steps);
}

bool TrainingRun::run() {
    if (at_epoch_end() && !take_up_epoch_end()) return stop();
    while (state_.step < options_.recipe.steps) {
        if (interrupted()) return stop();
        const auto start = Clock::now();
        std::optional<train::FeedBatch> batch = feed_->next();
        GS_REQUIRE(batch.has_value());
        step(*batch);
        interval_seconds_ += seconds_since(start);
        interval_images_ += batch->count;
        feed_->recycle(std::move(*batch));
        if (state_.step % options_.log_every == 0 || at_epoch_end()) end_interval();
        if (at_epoch_end()) {
            if (!end_epoch()) return stop();
        } else if (seconds_since(saved_) > 60 * options_.checkpoint_minutes) {
            checkpoint();
        }
    }
    progress_.finish();
    return true;
}

bool TrainingRun::stop() {
    checkpoint();
    save_weights("last");
    return false;
}

// Labelled images that the step learns from. None where failures leave one to a batch norm that needs two:
// however often the run were resumed, it would come to this batch again.
int64_t TrainingRun::learnable(const train::FeedBatch& batch) {
    const bool alone = batch.count == 1 && batch.auxiliary == 0;
    if (!alone || options_.cache_features || trainer_.least_images(batch.height, batch.width) == 1)
        return batch.count;
    if (!std::exchange(said_alone_, true))
        progress_.notice("notice: step " + std::to_string(batch.step + 1) +
                         ": images that could not be used leave one alone, and batch norm needs two; such "
                         "steps are skipped");
    return 0;
}

train::StepResult TrainingRun::take(const train::FeedBatch& batch, int64_t images) {
    if (images == 0) {
        trainer_.skip_step();
        return {.learning_rate = train::learning_rate(options_.recipe, batch.step)};
    }
    const train::TrainBatch input{.pixels = batch.pixels,
                                  .n = batch.count + batch.auxiliary,
                                  .h = batch.height,
                                  .w = batch.width,
                                  .labels = batch.labels};
    return options_.cache_features ? trainer_.step_on_features(input) : trainer_.step(input);
}

void TrainingRun::step(const train::FeedBatch& batch) {
    note_failures(*sets_.images, batch.failures);
    count_in_a_row(unusable_in_a_row_, *sets_.images, batch.count > 0, std::ssize(batch.failures));
    if (sets_.auxiliary) {
        // Without them the margin of auxiliary images would silently be no part of the loss.
        note_failures(*sets_.auxiliary, batch.auxiliary_failures);
        count_in_a_row(unusable_auxiliary_in_a_row_, *sets_.auxiliary, batch.auxiliary > 0,
                       std::ssize(batch.auxiliary_failures));
    }
    const int64_t images = learnable(batch);
    const train::StepResult result = take(batch, images);
    ++state_.step;
    state_.epoch.add(result.loss, images, result.correct);
    state_.interval.add(result.loss, images, result.correct);
    learning_rate_ = result.learning_rate;
    progress_.detail(epoch_text() + "  loss " + fixed(state_.interval.mean_loss(), 4) + "  acc " +
                     percent(state_.interval.accuracy()) + " %  lr " + significant(result.learning_rate, 3));
    progress_.update(images_until(state_.step), excluded());
}

void TrainingRun::note_failures(const ImageSet& set, const std::vector<LoadFailure>& failures) {
    constexpr size_t kLongest = 4096;  // of a path
    for (const LoadFailure& failure : failures) {
        const std::string image = printable(set.name() + ": " + set.item(failure.index).path, kLongest);
        if (options_.strict) throw strict_error(image, failure.reason);
        state_.unusable.insert(image);
        if (named_.insert(image).second)
            progress_.notice("notice: " + image + ": " + failure.reason + "; left out");
    }
}

TrainingLine TrainingRun::line(bool epoch_end) const {
    const Tally& tally = epoch_end ? state_.epoch : state_.interval;
    const double seconds = epoch_end ? epoch_seconds_ : interval_seconds_;
    const int64_t images = epoch_end ? epoch_images_ : interval_images_;
    return {.epoch_end = epoch_end,
            .epoch = epoch(),
            .step = state_.step,
            .loss = tally.mean_loss(),
            .accuracy = tally.accuracy(),
            .learning_rate = learning_rate_,
            .images_per_second = seconds > 0 ? static_cast<double>(images) / seconds
                                             : std::numeric_limits<double>::quiet_NaN(),
            .seconds = state_.seconds};
}

void TrainingRun::append(const TrainingLine& line) {
    log_.write(training_line_to_json(line) + "\n");
}

void TrainingRun::end_interval() {
    state_.seconds += interval_seconds_;
    epoch_seconds_ += interval_seconds_;
    epoch_images_ += interval_images_;
    append(line(false));
    state_.interval = {};
    interval_seconds_ = 0;
    interval_images_ = 0;
}

// An epoch whose sums the checkpoint still has is not evaluated yet; of another one the files may be missing.
bool TrainingRun::take_up_epoch_end() {
    if (state_.epoch.images > 0) return end_epoch();
    save_results();
    return true;
}

bool TrainingRun::end_epoch() {
    if (state_.epoch.images == 0)
        throw Error(ErrorKind::Data, sets_.images->name() + ": none of the images of epoch " +
                                         std::to_string(epoch()) + " could be used");
    TrainingLine epoch_line = line(true);
    std::string said = epoch_text() + ": " + figures(epoch_line.loss, epoch_line.accuracy);
    if (sets_.validation) {
        checkpoint();  // evaluation takes long, and refuses weights that are not finite less clearly
        const std::optional<Tally> validation = evaluate();
        if (!validation) return false;
        if (!std::isfinite(validation->mean_loss()))
            throw Error(ErrorKind::Data,
                        "the validation loss of epoch " + std::to_string(epoch()) +
                            " is not finite; a smaller learning rate or a longer warm-up may "
                            "help");
        epoch_line.validation_loss = validation->mean_loss();
        epoch_line.validation_accuracy = validation->accuracy();
        said += "; validation " + figures(validation->mean_loss(), validation->accuracy());
        if (!state_.best_accuracy || validation->accuracy() > *state_.best_accuracy) {
            state_.best_accuracy = validation->accuracy();
            state_.best_epoch = epoch();
        }
    }
    append(epoch_line);
    const double rate = epoch_line.images_per_second;
    if (!options_.progress.quiet)
        progress_.notice(said + (std::isnan(rate) ? "" : "; " + fixed(rate, 0) + " images/s"));
    state_.epoch = {};
    epoch_seconds_ = 0;
    epoch_images_ = 0;
    checkpoint();
    save_results();
    return true;
}

// What follows from a checkpoint at an epoch's end. Written behind it, so that no file is of a step that a
// resumed run takes again.
void TrainingRun::save_results() {
    save_weights("last");
    if (state_.best_epoch == epoch()) save_weights("best");
    draw_curves();
}

std::optional<Tally> TrainingRun::evaluate() {
    const ImageSet& set = *sets_.validation;
    Loader loader(set, options_.evaluation,
                  {.batch = options_.recipe.batch, .threads = options_.threads, .limits = options_.limits});
    Tally tally;
    for (int64_t done = 0; auto batch = loader.next();) {
        if (interrupted()) return {};
        note_failures(set, batch->failures);
        std::vector<int64_t> labels;
        for (const int64_t index : batch->indices) labels.push_back(set.item(index).label.value());
        if (batch->count > 0) {
            const train::LossResult result =
                trainer_.evaluate(batch->pixels, batch->count, batch->height, batch->width, labels);
            tally.add(result.loss, batch->count, result.correct);
        }
        done += batch->count + static_cast<int64_t>(batch->failures.size());
        progress_.detail(epoch_text() + "  validation " + grouped(done) + "/" + grouped(set.size()));
        progress_.update(images_until(state_.step), excluded());
        loader.recycle(std::move(*batch));
    }
    if (tally.images == 0) throw Error(ErrorKind::Data, set.name() + ": none of its images could be used");
    return tally;
}

// NAME.safetensors, and NAME.pth where asked for.
void TrainingRun::save_weights(const char* name) {
    const std::vector<train::Array> weights = trainer_.weights();
    std::map<std::string, std::string> metadata = preprocess_metadata(options_.evaluation);
    metadata.insert({{"net", name_of(trainer_.architecture())},
                     {"recipe", options_.recipe_name},
                     {"step", std::to_string(state_.step)},
                     {"gradscore_version", version()}});
    train::write_weights(options_.out / (std::string(name) + ".safetensors"), weights, metadata);
    if (options_.pth) train::write_torch_weights(options_.out / (std::string(name) + ".pth"), weights);
}

void TrainingRun::draw_curves() {
    const MappedFile log(log_path(options_.out), ErrorKind::Data);
    const std::string_view text(reinterpret_cast<const char*>(log.bytes().data()), log.bytes().size());
    const auto lines = training_log_from_json(text, log_path(options_.out).string());
    write_file_atomically(options_.out / "curves.svg",
                          training_curves_svg(lines, options_.recipe_name, epoch_steps_));
}

void TrainingRun::checkpoint() {
    log_.sync();
    state_.log_bytes = log_.size();
    checkpoint_.state = state_;
    checkpoint_.state.seconds += interval_seconds_;
    checkpoint_.weights = trainer_.weights();
    checkpoint_.optimiser = trainer_.optimiser_state();
    write_checkpoint(checkpoint_path(options_.out), checkpoint_);
    saved_ = Clock::now();
    saved_step_ = state_.step;
}

}  // namespace gs
