// A set while it is scored: its rows, its scores and what is kept of it, batch by batch.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/shard.h"
#include "data/image_set.h"
#include "report/progress.h"
#include "report/results.h"
#include "report/scores_csv.h"
#include "tools/batch_record.h"

namespace gs {

struct SetRun {
    const ImageSet& set;
    const IndexRange range;  // of the images to score
    const Request& kept_arrays;
    ScoredSet scored;
    ScoreCsvWriter csv;
    Progress progress;
    std::vector<std::string> digests;
    std::map<std::filesystem::path, int64_t> fitted_on;  // images that a statistics file was fitted on
    Evidence kept;                                       // for arrays/
    int64_t correct = 0, labelled = 0, done = 0;
    int64_t classes = 0;  // labels below count for the accuracy
    bool strict = false;
    const int64_t done_before;  // images that an earlier process has done

    // `count`: images of the whole set (of --limit). `before`: images that an earlier process has
    // done, and that are added first.
    SetRun(const ImageSet& images, int64_t count, const IndexRange& part, SetRole role,
           const std::filesystem::path& csv_path, const std::vector<std::string>& methods,
           const Request& arrays, const ProgressStyle& style, int64_t before = 0);

    // Rows in order of index, scores, digests, arrays. Throws Error(Data) under strict for the first image
    // that could not be used.
    void add(const BatchRecord& batch);

  private:
    void add_failure(const LoadFailure& failure);
    void add_image(const BatchRecord& batch, size_t i);
    ScoreRow row_of(int64_t index) const;
};

}  // namespace gs
