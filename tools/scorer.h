// Scores sets of images: loader -> executor -> scores -> CSV rows and arrays. One object a run.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/shard.h"
#include "data/image_set.h"
#include "passes/executor.h"
#include "report/results.h"
#include "report/scores_csv.h"
#include "scores/statistics.h"
#include "tools/arrays.h"
#include "tools/image_run.h"
#include "tools/run_journal.h"

namespace gs {

struct SetRun;

struct ScorerOptions : ImageRunOptions {
    std::optional<Shard> shard{};  // only this part of every set
    SaveOptions save{};
    std::string precision = "f32";          // what the backend computes in; saved with arrays
    StatisticsStore* statistics = nullptr;  // of methods that need a fit
    bool allow_fit_on_test = false;
};

class Scorer {
  public:
    Scorer(Backend& backend, const Net& net, const Preprocess& preprocess,
           const std::vector<MethodSpec>& methods, const ScorerOptions& options);

    // Every batch goes into the journal; those that an earlier process has done come from there.
    void use(RunJournal& journal) { journal_ = &journal; }

    // Scores one set, writing its CSV to csv_path, and its arrays to arrays_path where any are saved. Where
    // `reuse` has arrays of the same weights, preprocessing and images, the net is not run. Between batches
    // it looks at interrupted(): then what is done is written and complete() is false. Throws Error(Data)
    // where no image of a whole set could be used, under strict for the first that could not, and for images
    // that the statistics in use were fitted on, unless that is allowed.
    ScoredSet score(const ImageSet& set, SetRole role, const std::filesystem::path& csv_path,
                    const std::filesystem::path& arrays_path, const ArrayStore& reuse);

    bool complete() const { return complete_; }
    std::vector<MethodInfo> method_infos() const;
    // What the net ran, for results.json: the plan of each size of images; empty where it did not run.
    std::vector<std::string> plan() const;
    // Of the sets scored: saved arrays used or not written.
    const std::vector<std::string>& notices() const { return notices_; }
    // Of the last set: the SHA-256 of every image that could be used, in order.
    const std::vector<std::string>& digests() const { return digests_; }
    // Of the sets scored: images that the statistics in use were fitted on.
    const std::vector<std::string>& invalid_protocol() const { return invalid_protocol_; }
    int64_t images_run() const { return images_run_; }  // through the net
    double seconds() const { return seconds_; }         // of scoring, reading included

  private:
    Backend& backend_;
    const Net& net_;
    const Preprocess& preprocess_;
    ScorerOptions options_;
    std::vector<std::string> names_;
    std::vector<std::unique_ptr<Score>> scores_;
    Request request_;
    Executor executor_;
    Request kept_;                 // of request_, for arrays/
    const GroupHead* group_head_;  // of a score's, or null
    RunJournal* journal_ = nullptr;
    bool complete_ = true;
    int64_t images_run_ = 0;
    double seconds_ = 0;
    std::vector<std::string> notices_, invalid_protocol_, digests_;

    int64_t predict(std::span<const float> logits) const;
    int64_t labelled_classes(SetRun& run, SetRole role);
    void note_other_labels(SetRun& run);
    // The scores, predictions and kept arrays of a batch.
    BatchRecord scored(const Evidence& evidence) const;
    void add(SetRun& run, const BatchRecord& record);
    void run_net(SetRun& run);
    void note(SetRun& run, const std::string& line);
    void run_arrays(SetRun& run, const Evidence& stored, std::vector<std::string> digests);
    void check_unseen(SetRun& run, std::span<const int64_t> indices,
                      std::span<const std::string> digests) const;
    void note_fit_on_test(const SetRun& run);
};

}  // namespace gs
