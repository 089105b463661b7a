#include "tools/fitter.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "data/image_subset.h"
#include "tools/journaled_stage.h"

namespace gs {
namespace {

// Fits that learn from the same images of the set.
struct FitPass {
    std::vector<int64_t> images;  // of the whole set, ascending
    std::vector<Fit*> fits;
};

std::vector<int64_t> labels_of(const ImageSet& set, int64_t total) {
    std::vector<int64_t> labels(static_cast<size_t>(total));
    for (int64_t i = 0; i < total; ++i) labels[static_cast<size_t>(i)] = set.item(i).label.value_or(-1);
    return labels;
}

std::vector<FitPass> group_by_selection(std::span<const std::unique_ptr<Fit>> fits,
                                        std::span<const int64_t> labels) {
    std::vector<int64_t> all(labels.size());
    std::iota(all.begin(), all.end(), 0);
    std::vector<FitPass> passes;
    for (const auto& fit : fits) {
        std::vector<int64_t> images = fit->select(labels).value_or(all);
        const auto same = std::find_if(passes.begin(), passes.end(),
                                       [&](const FitPass& pass) { return pass.images == images; });
        if (same != passes.end())
            same->fits.push_back(fit.get());
        else
            passes.push_back({std::move(images), {fit.get()}});
    }
    return passes;
}

class Fitter {
  public:
    Fitter(Backend& backend, const Net& net, const Preprocess& preprocess, const ImageSet& set,
           const FitterOptions& options)
        : backend_(backend),
          net_(net),
          preprocess_(preprocess),
          set_(set),
          options_(options),
          total_(options.limit ? std::min(*options.limit, set.size()) : set.size()),
          labels_(labels_of(set, total_)) {
        if (options.shard.count > total_)
            throw Error(ErrorKind::Usage, "--shard: " + std::to_string(options.shard.count) + " shards of " +
                                              std::to_string(total_) + " images");
    }

    FitOutcome run(std::span<const std::unique_ptr<Fit>> fits) {
        FitOutcome outcome;
        check_labels(fits);
        std::vector<FitPass> passes = group_by_selection(fits, labels_);
        for (const auto& fit : fits)
            for (std::string& notice : fit->notices(labels_)) outcome.notices.push_back(std::move(notice));
        for (FitPass& pass : passes) keep_shard(pass.images);
        for (size_t i = 0; i < passes.size() && outcome.complete; ++i) {
            const std::string place = std::to_string(i + 1) + " of " + std::to_string(passes.size());
            outcome.complete = run_pass(passes[i], "fit " + std::to_string(i),
                                        set_.name() + (passes.size() > 1 ? ", pass " + place : ""));
        }
        for (auto& [index, failure] : failures_) outcome.failures.push_back(std::move(failure));
        if (!outcome.complete) return outcome;
        if (seen_.empty() && !outcome.failures.empty() && options_.shard.count == 1)
            throw Error(ErrorKind::Data, set_.name() + ": none of its images could be used; the first: " +
                                             outcome.failures.front().path + ": " +
                                             outcome.failures.front().reason);
        std::sort(seen_.begin(), seen_.end());
        seen_.erase(std::unique(seen_.begin(), seen_.end()), seen_.end());
        outcome.seen = std::move(seen_);
        for (const auto& fit : fits) outcome.states.push_back(fit->state());
        if (options_.shard.count == 1)
            for (std::string& notice : complete_states(outcome.states))
                outcome.notices.push_back(std::move(notice));
        return outcome;
    }

  private:
    Backend& backend_;
    const Net& net_;
    const Preprocess& preprocess_;
    const ImageSet& set_;
    const FitterOptions& options_;
    const int64_t total_;
    const std::vector<int64_t> labels_;
    std::vector<ImageDigest> seen_;
    std::map<int64_t, SetFailure> failures_;  // by index: two passes may meet the same image

    // All of them before hours of computing, and of the whole set: its shards are refused alike.
    void check_labels(std::span<const std::unique_ptr<Fit>> fits) const {
        int64_t image = 0;
        try {
            for (; image < total_; ++image)
                for (const auto& fit : fits) fit->check_label(labels_[static_cast<size_t>(image)]);
        } catch (const Error& error) {
            throw Error(error.kind(), set_.name() + ": " + set_.item(image).path + ": " + error.what());
        }
    }

    void keep_shard(std::vector<int64_t>& images) const {
        const IndexRange range = shard_range(total_, options_.shard);
        images.erase(std::lower_bound(images.begin(), images.end(), range.last), images.end());
        images.erase(images.begin(), std::lower_bound(images.begin(), images.end(), range.first));
    }

    // `stage`: its name in the journal.
    bool run_pass(FitPass& pass, const std::string& stage, const std::string& label) {
        if (pass.images.empty()) return true;
        Request request;
        for (const Fit* fit : pass.fits) request.merge(fit->request());
        const ImageSubset images(set_, std::move(pass.images));
        RunJournal* journal = options_.journal;
        Progress progress(label, images.size(), options_.progress, journal ? journal->images(stage) : 0);
        int64_t used = 0, failed = 0;
        std::optional<Executor> executor;
        const JournaledStage journaled{
            .journal = journal,
            .name = stage,
            .set = images,
            .range = {0, images.size()},
            .arrays = request,
            .executor = [&]() -> Executor& {
                return executor.emplace(backend_, net_, request, options_.executor());
            },
            .compute = record_of_evidence,
            .take =
                [&](const BatchRecord& record, bool replayed) {
                    for (const LoadFailure& failure : record.failures)
                        note_failure(images.original(failure.index), failure.reason, progress);
                    add(pass, images, record);
                    used += static_cast<int64_t>(record.indices.size());
                    failed += static_cast<int64_t>(record.failures.size());
                    if (!replayed) progress.update(used + failed, failed);
                }};
        const bool complete = journaled.run(preprocess_, options_.batches());
        progress.finish();
        return complete;
    }

    void add(const FitPass& pass, const ImageSubset& images, const BatchRecord& record) {
        if (record.indices.empty()) return;
        std::vector<int64_t> labels;
        for (const int64_t index : record.indices)
            labels.push_back(labels_[static_cast<size_t>(images.original(index))]);
        for (Fit* fit : pass.fits) fit->add(record.evidence, labels);
        for (const std::string& digest : record.digests) seen_.push_back(image_digest(digest));
    }

    void note_failure(int64_t index, const std::string& reason, Progress& progress) {
        constexpr size_t kShown = 20;
        const std::string path = set_.item(index).path;
        if (options_.strict) throw strict_error(set_.name() + ": " + path, reason);
        if (!failures_.try_emplace(index, SetFailure{path, reason}).second) return;
        if (failures_.size() <= kShown)
            progress.notice("notice: " + set_.name() + ": " + path + ": " + reason + "; left out");
        if (failures_.size() == kShown + 1)
            progress.notice("notice: " + set_.name() + ": further images are left out");
    }
};

}  // namespace

std::vector<std::string> complete_states(std::span<FitState> states) {
    std::vector<std::string> notices;
    for (FitState& state : states)
        for (std::string& notice : complete_state(state)) notices.push_back(std::move(notice));
    return notices;
}

FitOutcome fit_methods(Backend& backend, const Net& net, const Preprocess& preprocess, const ImageSet& set,
                       std::span<const std::unique_ptr<Fit>> fits, const FitterOptions& options) {
    return Fitter(backend, net, preprocess, set, options).run(fits);
}

}  // namespace gs
