#include "tools/scorer.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "report/text.h"
#include "scores/group_head.h"
#include "scores/softmax.h"
#include "tools/journaled_stage.h"
#include "tools/plan_text.h"
#include "tools/run_folder.h"
#include "tools/seen_images.h"
#include "tools/set_run.h"
#include "tools/setup.h"

namespace gs {
namespace {

// Of the journal.
std::string stage_of(const ImageSet& set) {
    return "score " + set.name();
}

// What write_arrays reads of the evidence.
Request kept_of(const SaveOptions& save, const Request& all) {
    Request kept{.logits = save.logits, .features = save.features};
    for (const TapReduction& tap : all.activations)
        if (save.taps && tap.reduction == Reduction::Mean) kept.activations.push_back(tap);
    for (const Backward& backward : all.backwards)
        if (save.norms && !backward.weight_norms.empty())
            kept.backwards.push_back(
                {.cotangent = backward.cotangent, .weight_norms = backward.weight_norms});
    return kept;
}

// The grouping of the logits that the scores agree on, or null.
const GroupHead* common_group_head(const std::vector<std::unique_ptr<Score>>& scores) {
    const GroupHead* head = nullptr;
    for (const auto& score : scores) {
        const GroupHead* own = score->group_head();
        if (own == nullptr) continue;
        if (head != nullptr && *own != *head)
            throw Error(ErrorKind::Usage, "--methods: the net has one head, mos is given different groups");
        head = own;
    }
    return head;
}

}  // namespace

Scorer::Scorer(Backend& backend, const Net& net, const Preprocess& preprocess,
               const std::vector<MethodSpec>& methods, const ScorerOptions& options)
    : backend_(backend),
      net_(net),
      preprocess_(preprocess),
      options_(options),
      request_{.logits = true},  // predictions
      executor_([&]() -> Executor {
          for (const MethodSpec& spec : methods) {
              names_.push_back(spec.written);
              scores_.push_back(make_score(spec, {net, preprocess, options.statistics}));
              request_.merge(scores_.back()->request());
          }
          request_.merge(save_request(options.save, net));
          return Executor(
              backend, net, request_,
              {.fuse = options.fuse, .micro_batch = options.batch, .notice = [this](const std::string& what) {
                   say("notice: " + what);
                   if (std::find(notices_.begin(), notices_.end(), what) == notices_.end())
                       notices_.push_back(what);  // once, also where a run is stopped and goes on
               }});
      }()),
      kept_(kept_of(options.save, request_)),
      group_head_(common_group_head(scores_)) {}

std::vector<MethodInfo> Scorer::method_infos() const {
    std::vector<MethodInfo> infos;
    for (size_t m = 0; m < names_.size(); ++m) infos.push_back({names_[m], scores_[m]->options()});
    return infos;
}

std::vector<std::string> Scorer::plan() const {
    constexpr size_t kShown = 3;  // images that are not resized have a plan a size
    std::vector<std::string> lines;
    const std::vector<const Plan*> plans = executor_.plans();
    for (size_t k = 0; k < std::min(plans.size(), kShown); ++k) {
        lines.push_back(std::to_string(plans[k]->image.w) + "x" + std::to_string(plans[k]->image.h) + ":");
        for (const std::string& line : plan_lines(net_, *plans[k])) lines.push_back(line);
    }
    if (plans.size() > kShown)
        lines.push_back(std::to_string(plans.size() - kShown) + " more sizes of images");
    return lines;
}

// Images that statistics in use were fitted on are refused, or counted.
void Scorer::check_unseen(SetRun& run, std::span<const int64_t> indices,
                          std::span<const std::string> digests) const {
    const StatisticsStore* statistics = options_.statistics;
    if (statistics == nullptr || !statistics->any_used()) return;
    if (!options_.allow_fit_on_test) return require_unseen(*statistics, run.set, indices, digests);
    for (const std::string& digest : digests)
        if (const auto* file = statistics->seen_in(image_digest(digest))) ++run.fitted_on[*file];
}

void Scorer::note_fit_on_test(const SetRun& run) {
    for (const auto& [file, count] : run.fitted_on)
        invalid_protocol_.push_back(FittedOnTest{file.string(), run.set.name(), count, run.done}.text());
}

int64_t Scorer::predict(std::span<const float> logits) const {
    return group_head_ != nullptr ? group_head_->predict(logits) : argmax(logits);
}

// Classes whose labels count for the accuracy. Labels of folders are numbered by name, those of a grouped
// head through the groups: an accuracy of the two together would be wrong.
int64_t Scorer::labelled_classes(SetRun& run, SetRole role) {
    if (group_head_ == nullptr) return net_.head.classes;
    if (role == SetRole::Id && run.set.description().starts_with("folder:") && run.set.item(0).label) {
        note(run,
             "no accuracy: folders number their labels by name, mos numbers classes through its groups; "
             "list:FILE gives such labels");
        return 0;
    }
    return group_head_->classes();
}

// What keeps labels from being the net's classes; of the whole set, so that every shard says the same.
// Folders are numbered among themselves: where one is missing, those behind it get other classes' numbers.
void Scorer::note_other_labels(SetRun& run) {
    const int64_t folders = std::ssize(run.set.class_names());
    if (folders > 1 && folders < run.classes)
        note(run,
             grouped(folders) + " class folders for a net of " + grouped(run.classes) +
                 " classes: they are labels 0 to " + grouped(folders - 1) +
                 " by name; the accuracy is wrong unless those are their classes (list:FILE gives labels)");
    int64_t others = 0;
    for (int64_t i = 0; i < run.scored.info.total; ++i)
        others += run.set.item(i).label.value_or(0) >= run.classes;
    if (others > 0)
        note(run, "labels of " + counted(others, "image") + " are not below " + grouped(run.classes) +
                      ", the net's classes: left out of the accuracy");
}

BatchRecord Scorer::scored(const Evidence& evidence) const {
    BatchRecord record;
    const auto n = static_cast<size_t>(evidence.samples);
    for (const auto& score : scores_) {
        record.scores.emplace_back(n);
        if (n > 0) compute_scores(*score, evidence, record.scores.back());
    }
    for (int64_t i = 0; i < evidence.samples; ++i)
        record.predictions.push_back(predict(evidence.logits.row(i)));
    record.evidence = part_of(evidence, kept_);
    return record;
}

void Scorer::add(SetRun& run, const BatchRecord& record) {
    run.add(record);
    check_unseen(run, record.indices, record.digests);
    images_run_ += static_cast<int64_t>(record.indices.size());
}

void Scorer::run_net(SetRun& run) {
    const auto size = preprocess_.output_size();
    const JournaledStage stage{
        .journal = journal_,
        .name = stage_of(run.set),
        .set = run.set,
        .range = run.range,
        .scores = names_.size(),
        .arrays = kept_,
        .executor = [&]() -> Executor& { return executor_; },
        .compute = [&](const Batch&, const Evidence& evidence) { return scored(evidence); },
        .take =
            [&](const BatchRecord& record, bool replayed) {
                add(run, record);
                if (!replayed) return;
                if (size) executor_.plan(size->height, size->width);  // what the earlier process ran
                seconds_ += record.seconds;
            }};
    complete_ = stage.run(
        preprocess_,
        {.batch = options_.batch, .loader_threads = options_.loader_threads, .limits = options_.limits});
}

void Scorer::note(SetRun& run, const std::string& line) {
    notices_.push_back(run.set.name() + ": " + line);
    run.progress.notice("notice: " + notices_.back());
}

void Scorer::run_arrays(SetRun& run, const Evidence& stored, std::vector<std::string> digests) {
    note(run, "saved arrays of these images and weights were used, the net was not run");
    BatchRecord record = scored(stored);
    record.indices.resize(static_cast<size_t>(run.range.size()));
    std::iota(record.indices.begin(), record.indices.end(), run.range.first);
    record.digests = std::move(digests);
    run.add(record);
    check_unseen(run, record.indices, record.digests);
}

ScoredSet Scorer::score(const ImageSet& set, SetRole role, const std::filesystem::path& csv_path,
                        const std::filesystem::path& arrays_path, const ArrayStore& reuse) {
    const auto start = std::chrono::steady_clock::now();
    const int64_t total = options_.limit ? std::min(*options_.limit, set.size()) : set.size();
    SetRun run(set, total, shard_range(total, options_.shard.value_or(Shard{})), role, csv_path, names_,
               kept_, options_.progress, journal_ != nullptr ? journal_->images(stage_of(set)) : 0);
    run.strict = options_.strict;
    run.classes = labelled_classes(run, role);
    if (role == SetRole::Id && run.classes > 0) note_other_labels(run);
    std::optional<Evidence> stored;
    ArrayKey key{computation_of(net_, preprocess_, options_.precision), ""};
    std::vector<std::string> digests;
    if (run.range.size() > 0 && reuse.may_answer(key.by, request_)) {
        if (auto all = image_digests(set, run.range)) {
            digests = std::move(*all);
            key.set_digest = combine_digests(digests);
            stored = reuse.find(key, request_);
        }
        if (stored && (stored->samples != run.range.size() || stored->logits.cols != net_.head.classes))
            stored.reset();
    }
    if (stored) {
        run_arrays(run, *stored, std::move(digests));
    } else {
        run_net(run);
        key.set_digest = combine_digests(run.digests);
    }
    run.progress.finish();
    run.csv.commit();
    note_fit_on_test(run);

    SetInfo& info = run.scored.info;
    info.scored = run.done;
    info.excluded = static_cast<int64_t>(info.failures.size());
    info.count_labels(run.labelled, run.correct);
    info.digest = key.set_digest;
    digests_ = std::move(run.digests);
    if (complete_ && !options_.shard) require_usable_images(info);
    if (options_.save.any() && info.excluded > 0) {
        note(run, "arrays not saved, as images are missing: they would not line up with the set again");
    } else if (options_.save.any() && complete_ && run.done > 0) {
        write_arrays(arrays_path, key, run.kept, options_.save, net_);
    }
    if (journal_ != nullptr) journal_->sync();
    seconds_ += seconds_since(start);
    return std::move(run.scored);
}

}  // namespace gs
