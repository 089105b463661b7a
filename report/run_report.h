// What `gradscore report` shows of one run, worked out and ready to be drawn.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "metrics/histogram.h"
#include "metrics/reduced_roc.h"
#include "metrics/threshold_table.h"
#include "report/results.h"
#include "report/scores_csv.h"

namespace gs {

// One of the images that a method is most wrong about.
struct HardImage {
    size_t row = 0;     // in its set's score table
    int64_t index = 0;  // in the set
    std::string path;
    double score = 0;
    std::optional<int64_t> label, prediction;
};

// Images as small JPEGs; one that several methods are wrong about is there once.
struct Thumbnail {
    size_t set = 0;
    int64_t index = 0;  // in the set
    int64_t width = 0, height = 0;
    std::vector<std::byte> jpeg;
};

struct MethodReport {
    std::vector<std::optional<ReducedRoc>> curves;  // by set; none of the ID set, or where scores are missing
    BinRange bins;
    std::vector<std::vector<int64_t>> histograms;  // by set
    ThresholdTable thresholds;
    std::vector<std::vector<HardImage>> hardest;  // by set: ID's lowest scores, OOD sets' highest
};

struct RunReport {
    std::string name;  // the run's folder, as given
    Results results;
    std::vector<MethodReport> methods;  // as results.methods
    std::vector<std::vector<std::vector<double>>>
        agreement;                         // by set: Spearman's correlation, [method][method]
    std::vector<std::string> differences;  // where the score files give other metrics than results.json
    std::vector<Thumbnail> thumbnails;
    std::vector<std::string> no_thumbnails;  // why images are missing, one line a reason
    // Where methods and sets stand in the lists of the whole page: one colour a method, whatever the run.
    std::vector<size_t> method_keys, set_keys;
    const Thumbnail* find_thumbnail(size_t set, int64_t index) const;
};

struct ReportLimits {
    size_t curve_points = 500;  // a curve
    size_t thresholds = 500;    // a method
    int bins = 48;
    size_t hardest = 12;  // images of a set and method
};

// `tables`: the score files, in the order of results.sets. Figures are those of `results`; what the tables
// give is compared with them. The longest part is sorting: 100,000 images in 7 sets by 8 methods take
// seconds.
RunReport make_run_report(std::string name, Results results, const std::vector<ScoreTable>& tables,
                          const ReportLimits& limits = {});

}  // namespace gs
