// A training run from a checkpoint to its end or to an interruption: steps, log, evaluation, checkpoints.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "core/files.h"
#include "report/progress.h"
#include "report/training_log.h"
#include "tools/training_sets.h"
#include "train/checkpoint.h"
#include "train/feed.h"
#include "train/trainer.h"

namespace gs {

// Files of a run's folder (docs/file-formats.md).
std::filesystem::path checkpoint_path(const std::filesystem::path& out);

struct TrainingRunOptions {
    std::filesystem::path out;
    std::string recipe_name;
    train::Recipe recipe;   // resolved
    Preprocess preprocess;  // of training images, where the augmentation says nothing
    Preprocess evaluation;  // of validation images
    int threads = 1;        // that read images
    DecodeLimits limits{};
    double checkpoint_minutes = 10;
    int64_t log_every = 50;
    bool strict = false, pth = false;
    bool cache_features = false;  // of the head's input; the trainer trains the head only
    ProgressStyle progress{};
};

class TrainingRun {
  public:
    // `start` says where to go on: its weights are in the trainer already; its identity is kept in every
    // checkpoint. Opens the log, cut to what the checkpoint knows.
    TrainingRun(train::Trainer& trainer, const TrainingSets& sets, const train::Checkpoint& start,
                const TrainingRunOptions& options);

    // Until the recipe's last step and its evaluation, or until interrupted(): then false, with a checkpoint
    // written. Begins with what the process before left undone at an epoch's end.
    bool run();
    const train::RunState& state() const { return state_; }
    int64_t excluded() const { return static_cast<int64_t>(state_.unusable.size()); }
    void checkpoint();  // now
    // The step of the last checkpoint that this process wrote; nothing before the first one.
    std::optional<int64_t> saved_step() const { return saved_step_; }

  private:
    using Clock = std::chrono::steady_clock;

    train::Trainer& trainer_;
    const TrainingSets& sets_;
    const TrainingRunOptions options_;
    train::Checkpoint checkpoint_;  // its arrays are filled when it is written
    train::RunState state_;
    int64_t epoch_steps_, epochs_;
    AppendFile log_;
    train::CachedFeatures features_;
    std::unique_ptr<train::BatchSource> feed_;
    Progress progress_;
    std::set<std::string> named_;  // images, "SET: PATH", that this process has said cannot be used
    int64_t unusable_in_a_row_ = 0, unusable_auxiliary_in_a_row_ = 0;
    bool said_alone_ = false;  // that an image left alone is skipped
    Clock::time_point saved_ = Clock::now();
    std::optional<int64_t> saved_step_;
    double interval_seconds_ = 0, epoch_seconds_ = 0;  // of this process
    int64_t interval_images_ = 0, epoch_images_ = 0;   // of this process, for rates
    double learning_rate_;                             // of the last step

    int64_t images_until(int64_t step) const;
    int64_t epoch() const { return (state_.step - 1) / epoch_steps_ + 1; }  // from 1, of the last step done
    std::string epoch_text() const;                                         // "epoch 3/10"
    bool at_epoch_end() const;
    std::unique_ptr<train::BatchSource> make_feed();
    void cache_features();
    void step(const train::FeedBatch& batch);
    int64_t learnable(const train::FeedBatch& batch);
    train::StepResult take(const train::FeedBatch& batch, int64_t images);
    void note_failures(const ImageSet& set, const std::vector<LoadFailure>& failures);
    TrainingLine line(bool epoch_end) const;
    void append(const TrainingLine& line);
    void end_interval();
    bool take_up_epoch_end();
    bool end_epoch();  // false: interrupted before it was evaluated
    bool stop();
    std::optional<train::Tally> evaluate();  // nothing: interrupted
    void save_weights(const char* name);
    void save_results();
    void draw_curves();
};

}  // namespace gs
