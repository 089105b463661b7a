// gradscore search: the options of a method that do best on validation sets. What a method's search may use,
// and what it leaves; tools/cmd_search.cpp has the table of methods.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/image_set.h"
#include "tools/batch_record.h"
#include "tools/fitter.h"

namespace gs {

struct SearchOptions {
    FitterOptions run;
    bool allow_fit_on_test = false;
};

// What was read of a set.
struct SearchedSet {
    std::string name, description;
    int64_t images = 0;    // used
    int64_t excluded = 0;  // could not be used
    std::string digest;    // as in results.json
    std::vector<ImageDigest> seen;
};

// One way over a set: what a method asks of the net, and what is left of it.
struct SearchPass {
    Request request;
    // Of each batch, for the journal: `scores` numbers an image, and the arrays of `kept`.
    size_t scores = 0;
    Request kept;
    std::function<BatchRecord(const Batch&, Evidence)> compute;
    std::function<void(const BatchRecord&)> take;  // in order of index
    std::optional<int64_t> most{};                 // of a large set only the first images
};

class SearchRun {
  public:
    // All must outlive the run. sets: the ID set first.
    SearchRun(Backend& backend, const Net& net, const Preprocess& preprocess, StatisticsStore& statistics,
              std::vector<const ImageSet*> sets, const SearchOptions& options);

    Backend& backend() const { return backend_; }
    const Net& net() const { return net_; }
    const Preprocess& preprocess() const { return preprocess_; }
    StatisticsStore& statistics() const { return statistics_; }
    const ImageSet& id() const { return *sets_.front(); }
    const std::vector<const ImageSet*>& sets() const { return sets_; }
    const SearchOptions& options() const { return options_; }

    // Runs the net over a set, but for batches that the journal has. Throws Error(Data) for an image that the
    // statistics found so far were fitted on (unless allowed), under strict for the first that cannot be
    // used, and where none can; Error(Interrupted).
    void run(const ImageSet& set, const SearchPass& pass);

    void stop_where_interrupted() const;  // throws Error(Interrupted)
    // Of every set read so far, in order of the sets.
    std::vector<SearchedSet> searched() const;

  private:
    Backend& backend_;
    const Net& net_;
    const Preprocess& preprocess_;
    StatisticsStore& statistics_;
    std::vector<const ImageSet*> sets_;
    SearchOptions options_;
    std::map<const ImageSet*, SearchedSet> searched_;
    int64_t passes_ = 0;  // begun: the same in a process that goes on

    void refuse_fitted(const ImageSet& set, const BatchRecord& record) const;
    void note_failures(const ImageSet& set, const BatchRecord& record, Progress& progress) const;
};

// What a search found.
struct Found {
    std::string method;      // ready for --methods
    nlohmann::json figures;  // kept in the file: at least {"auroc": …}
    std::string summary;     // one line for people
    // The method's fit with what was found, where statistics keep that and not options.
    std::optional<FitState> tuned{};
};

using SearchMethod = Found (*)(const MethodSpec&, SearchRun&);
Found search_nac(const MethodSpec& spec, SearchRun& run);
Found search_mahalanobis(const MethodSpec& spec, SearchRun& run);

}  // namespace gs
