#include "tools/search.h"

#include <algorithm>

#include "tools/arrays.h"
#include "tools/batches.h"
#include "tools/journaled_stage.h"
#include "tools/seen_images.h"
#include "tools/setup.h"

namespace gs {

SearchRun::SearchRun(Backend& backend, const Net& net, const Preprocess& preprocess,
                     StatisticsStore& statistics, std::vector<const ImageSet*> sets,
                     const SearchOptions& options)
    : backend_(backend),
      net_(net),
      preprocess_(preprocess),
      statistics_(statistics),
      sets_(std::move(sets)),
      options_(options) {
    GS_REQUIRE(!sets_.empty());
}

void SearchRun::refuse_fitted(const ImageSet& set, const BatchRecord& record) const {
    if (!options_.allow_fit_on_test) require_unseen(statistics_, set, record.indices, record.digests);
}

void SearchRun::note_failures(const ImageSet& set, const BatchRecord& record, Progress& progress) const {
    for (const LoadFailure& failure : record.failures) {
        const std::string image = set.name() + ": " + set.item(failure.index).path;
        if (options_.run.strict) throw strict_error(image, failure.reason);
        progress.notice("notice: " + image + ": " + failure.reason);
    }
}

void SearchRun::run(const ImageSet& set, const SearchPass& pass) {
    const FitterOptions& o = options_.run;
    const int64_t total =
        std::min({set.size(), o.limit.value_or(set.size()), pass.most.value_or(set.size())});
    const std::string name = "search " + std::to_string(passes_++) + " " + set.name();
    SearchedSet seen{.name = set.name(), .description = set.description(), .digest = {}, .seen = {}};
    std::vector<std::string> digests;
    Progress progress(set.name(), total, o.progress, o.journal ? o.journal->images(name) : 0);
    std::optional<Executor> executor;
    const auto take = [&](const BatchRecord& record, bool replayed) {
        refuse_fitted(set, record);
        note_failures(set, record, progress);
        if (!record.indices.empty()) pass.take(record);
        digests.insert(digests.end(), record.digests.begin(), record.digests.end());
        seen.images += static_cast<int64_t>(record.indices.size());
        seen.excluded += static_cast<int64_t>(record.failures.size());
        if (!replayed) progress.update(seen.images + seen.excluded, seen.excluded);
    };
    const auto make_executor = [&]() -> Executor& {
        return executor.emplace(backend_, net_, pass.request, o.executor());
    };
    const JournaledStage stage{.journal = o.journal,
                               .name = name,
                               .set = set,
                               .range = {0, total},
                               .scores = pass.scores,
                               .arrays = pass.kept,
                               .executor = make_executor,
                               .compute = pass.compute,
                               .take = take};
    const bool complete = stage.run(preprocess_, o.batches());
    progress.finish();
    if (!complete) stop_where_interrupted();
    if (seen.images == 0) throw Error(ErrorKind::Data, set.name() + ": none of its images could be used");
    for (const std::string& digest : digests) seen.seen.push_back(image_digest(digest));
    seen.digest = combine_digests(digests);
    searched_[&set] = std::move(seen);
}

void SearchRun::stop_where_interrupted() const {
    if (!interrupted()) return;
    if (options_.run.journal != nullptr) throw options_.run.journal->interrupted();
    throw Error(ErrorKind::Interrupted, "interrupted: nothing was written");
}

std::vector<SearchedSet> SearchRun::searched() const {
    std::vector<SearchedSet> all;
    for (const ImageSet* set : sets_)
        if (searched_.contains(set)) all.push_back(searched_.at(set));
    return all;
}

}  // namespace gs
