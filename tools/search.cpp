#include "tools/search.h"

#include <algorithm>

#include "tools/arrays.h"
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

void SearchRun::refuse_fitted(const ImageSet& set, const Batch& batch) const {
    if (options_.allow_fit_on_test) return;
    for (const std::string& digest : batch.digests)
        if (const auto* file = statistics_.seen_in(image_digest(digest)))
            throw Error(ErrorKind::Data, "set '" + set.name() + "': " + file->string() +
                                             " was fitted on an image of it; search on other images "
                                             "(--allow-fit-on-test searches all the same)");
}

void SearchRun::note_failures(const ImageSet& set, const Batch& batch, Progress& progress) const {
    for (const LoadFailure& failure : batch.failures) {
        const std::string what = set.name() + ": " + set.item(failure.index).path + ": " + failure.reason;
        if (options_.run.strict) throw Error(ErrorKind::Data, what + " (--strict)");
        progress.notice("notice: " + what);
    }
}

void SearchRun::run(const ImageSet& set, const Request& request,
                    const std::function<void(const Batch&, const Evidence&)>& each,
                    std::optional<int64_t> most) {
    const FitterOptions& o = options_.run;
    const int64_t total = std::min({set.size(), o.limit.value_or(set.size()), most.value_or(set.size())});
    SearchedSet seen{.name = set.name(), .description = set.description(), .digest = {}, .seen = {}};
    std::vector<std::string> digests;
    Executor executor(backend_, net_, request, {.fuse = o.fuse, .micro_batch = o.batch});
    Progress progress(set.name(), total, o.progress);
    const bool complete =
        run_batches(executor, set, preprocess_,
                    {.batch = o.batch, .loader_threads = o.loader_threads, .last = total, .limits = o.limits},
                    [&](const Batch& batch, const Evidence& evidence) {
                        refuse_fitted(set, batch);
                        note_failures(set, batch, progress);
                        if (batch.count > 0) each(batch, evidence);
                        digests.insert(digests.end(), batch.digests.begin(), batch.digests.end());
                        seen.images += batch.count;
                        seen.excluded += static_cast<int64_t>(batch.failures.size());
                        progress.update(seen.images + seen.excluded, seen.excluded);
                    });
    progress.finish();
    if (!complete) stop_where_interrupted();
    if (seen.images == 0) throw Error(ErrorKind::Data, set.name() + ": none of its images could be used");
    for (const std::string& digest : digests) seen.seen.push_back(image_digest(digest));
    seen.digest = combine_digests(digests);
    searched_[&set] = std::move(seen);
}

void SearchRun::stop_where_interrupted() {
    if (interrupted()) throw Error(ErrorKind::Interrupted, "interrupted: nothing was written");
}

std::vector<SearchedSet> SearchRun::searched() const {
    std::vector<SearchedSet> all;
    for (const ImageSet* set : sets_)
        if (searched_.contains(set)) all.push_back(searched_.at(set));
    return all;
}

}  // namespace gs
