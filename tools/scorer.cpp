#include "tools/scorer.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "scores/group_head.h"
#include "scores/softmax.h"
#include "tools/batches.h"
#include "tools/run_folder.h"
#include "tools/setup.h"

namespace gs {
namespace {

void append(Matrix& to, const Matrix& from) {
    if (from.rows == 0) return;
    to.cols = from.cols;
    to.rows += from.rows;
    to.values.insert(to.values.end(), from.values.begin(), from.values.end());
}

// What write_arrays may keep of a batch.
void append_arrays(Evidence& to, const Evidence& from) {
    append(to.logits, from.logits);
    append(to.features, from.features);
    for (const auto& [key, matrix] : from.activations) append(to.activations[key], matrix);
    for (const auto& [key, matrix] : from.weight_norms) append(to.weight_norms[key], matrix);
    to.samples += from.samples;
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

// One set's state while it is scored.
struct Scorer::SetRun {
    const ImageSet& set;
    IndexRange range;  // of the images to score
    ScoredSet scored;
    ScoreCsvWriter csv;
    Progress progress;
    std::vector<std::string> digests;
    std::map<std::filesystem::path, int64_t> fitted_on;  // images that a statistics file was fitted on
    Evidence kept;                                       // for arrays/
    int64_t correct = 0, labelled = 0, done = 0;
    int64_t classes = 0;  // labels below count for the accuracy

    SetRun(const ImageSet& images, int64_t count, const std::optional<Shard>& shard, SetRole role,
           const std::filesystem::path& csv_path, const std::vector<std::string>& methods,
           const ProgressStyle& style)
        : set(images),
          range(shard_range(count, shard.value_or(Shard{}))),
          csv(csv_path, methods),
          progress(images.name(), range.size(), style) {
        scored.info.name = images.name();
        scored.info.description = images.description();
        scored.info.role = role;
        scored.info.total = count;
        scored.scores.resize(methods.size());
    }
};

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
                   notices_.push_back(what);
               }});
      }()),
      group_head_(common_group_head(scores_)) {}

std::vector<MethodInfo> Scorer::method_infos() const {
    std::vector<MethodInfo> infos;
    for (size_t m = 0; m < names_.size(); ++m) infos.push_back({names_[m], scores_[m]->options()});
    return infos;
}

// Images that statistics in use were fitted on are refused, or counted.
void Scorer::check_unseen(SetRun& run, std::span<const int64_t> indices,
                          std::span<const std::string> digests) const {
    if (options_.statistics == nullptr || !options_.statistics->any_used()) return;
    for (size_t i = 0; i < indices.size(); ++i) {
        const std::filesystem::path* file = options_.statistics->seen_in(image_digest(digests[i]));
        if (file == nullptr) continue;
        if (!options_.allow_fit_on_test)
            throw Error(ErrorKind::Data, run.set.name() + ": " + run.set.item(indices[i]).path + ": " +
                                             file->string() +
                                             " was fitted (or searched) on this very image; score other "
                                             "images, or --allow-fit-on-test");
        ++run.fitted_on[*file];
    }
}

void Scorer::note_fit_on_test(const SetRun& run) {
    for (const auto& [file, count] : run.fitted_on)
        invalid_protocol_.push_back(file.string() + " was fitted on " + std::to_string(count) + " of the " +
                                    std::to_string(run.done) + " images of " + run.set.name() +
                                    " (--allow-fit-on-test)");
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

void Scorer::add_rows(SetRun& run, const Evidence& evidence, std::span<const int64_t> indices,
                      std::span<const LoadFailure> failures) {
    const size_t n = indices.size();
    std::vector<std::vector<double>> columns(scores_.size(), std::vector<double>(n));
    for (size_t m = 0; m < scores_.size() && n > 0; ++m) scores_[m]->compute(evidence, columns[m]);
    for (size_t m = 0; m < scores_.size(); ++m)
        run.scored.scores[m].insert(run.scored.scores[m].end(), columns[m].begin(), columns[m].end());

    // Rows in order of index: scored images and failures are each ascending.
    size_t i = 0, f = 0;
    while (i < n || f < failures.size()) {
        const bool failed = i == n || (f < failures.size() && failures[f].index < indices[i]);
        ScoreRow row;
        row.index = failed ? failures[f].index : indices[i];
        const ImageItem item = run.set.item(row.index);
        row.path = item.path;
        if (run.scored.info.role == SetRole::Id) row.label = item.label;  // OOD folders name other classes
        if (failed) {
            row.reason = failures[f++].reason;
            run.scored.info.failures.push_back({row.path, row.reason});
            if (options_.strict)
                throw Error(ErrorKind::Data,
                            run.set.name() + ": " + row.path + ": " + row.reason + " (--strict)");
        } else {
            row.prediction = predict(evidence.logits.row(static_cast<int64_t>(i)));
            for (const auto& column : columns) row.scores.push_back(column[i]);
            if (row.label && *row.label < run.classes) {
                ++run.labelled;
                run.correct += row.prediction == row.label ? 1 : 0;
            }
            ++i;
        }
        run.csv.write(row);
    }
    run.done += static_cast<int64_t>(n);
    const auto excluded = static_cast<int64_t>(run.scored.info.failures.size());
    run.progress.update(run.done + excluded, excluded);
}

void Scorer::run_net(SetRun& run) {
    const auto each = [&](const Batch& batch, const Evidence& evidence) {
        add_rows(run, evidence, batch.indices, batch.failures);
        check_unseen(run, batch.indices, batch.digests);
        run.digests.insert(run.digests.end(), batch.digests.begin(), batch.digests.end());
        if (options_.save.any()) append_arrays(run.kept, evidence);
        images_run_ += batch.count;
    };
    complete_ = run_batches(executor_, run.set, preprocess_,
                            {.batch = options_.batch,
                             .loader_threads = options_.loader_threads,
                             .first = run.range.first,
                             .last = run.range.last,
                             .limits = options_.limits},
                            each);
}

void Scorer::note(SetRun& run, const std::string& line) {
    notices_.push_back(run.set.name() + ": " + line);
    run.progress.notice("notice: " + notices_.back());
}

void Scorer::run_arrays(SetRun& run, const Evidence& stored) {
    note(run, "saved arrays of these images and weights were used, the net was not run");
    std::vector<int64_t> indices(static_cast<size_t>(run.range.size()));
    std::iota(indices.begin(), indices.end(), run.range.first);
    add_rows(run, stored, indices, {});
    check_unseen(run, indices, run.digests);
    if (options_.save.any()) run.kept = stored;
}

ScoredSet Scorer::score(const ImageSet& set, SetRole role, const std::filesystem::path& csv_path,
                        const std::filesystem::path& arrays_path, const ArrayStore& reuse) {
    const auto start = std::chrono::steady_clock::now();
    const int64_t total = options_.limit ? std::min(*options_.limit, set.size()) : set.size();
    SetRun run(set, total, options_.shard, role, csv_path, names_, options_.progress);
    run.classes = labelled_classes(run, role);
    std::optional<Evidence> stored;
    ArrayKey key{net_.weights_sha256, preprocess_.describe(), options_.precision, ""};
    if (!reuse.empty() && run.range.size() > 0) {
        run.digests = image_digests(set, run.range);
        key.set_digest = combine_digests(run.digests);
        stored = reuse.find(key, request_);
        if (stored && (stored->samples != run.range.size() || stored->logits.cols != net_.head.classes))
            stored.reset();
    }
    if (stored) {
        run_arrays(run, *stored);
    } else {
        run.digests.clear();
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
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(run.scored);
}

}  // namespace gs
