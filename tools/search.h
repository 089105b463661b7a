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
#include "tools/batches.h"
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

    // Runs the net over a set; `each` gets the images of a batch, batch.indices, with the evidence that
    // answers the request. Throws Error(Data) for an image that the statistics found so far were fitted on
    // (unless allowed), under strict for the first that cannot be used, and where none can;
    // Error(Interrupted). Of a large set only the first `most` images.
    void run(const ImageSet& set, const Request& request,
             const std::function<void(const Batch&, const Evidence&)>& each,
             std::optional<int64_t> most = {});

    static void stop_where_interrupted();  // throws Error(Interrupted)
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

    void refuse_fitted(const ImageSet& set, const Batch& batch) const;
    void note_failures(const ImageSet& set, const Batch& batch, Progress& progress) const;
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
