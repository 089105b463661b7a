#include "tools/set_run.h"

#include "tools/batches.h"

namespace gs {

SetRun::SetRun(const ImageSet& images, int64_t count, const IndexRange& part, SetRole role,
               const std::filesystem::path& csv_path, const std::vector<std::string>& methods,
               const Request& arrays, const ProgressStyle& style, int64_t before)
    : set(images),
      range(part),
      kept_arrays(arrays),
      csv(csv_path, methods),
      progress(images.name(), part.size(), style, before),
      done_before(before) {
    scored.info.name = images.name();
    scored.info.description = images.description();
    scored.info.role = role;
    scored.info.total = count;
    scored.scores.resize(methods.size());
}

void SetRun::add(const BatchRecord& batch) {
    const size_t n = batch.indices.size();
    for (size_t m = 0; m < scored.scores.size(); ++m)
        scored.scores[m].insert(scored.scores[m].end(), batch.scores[m].begin(), batch.scores[m].end());
    // Scored images and failures are each ascending.
    for (size_t i = 0, f = 0; i < n || f < batch.failures.size();) {
        if (i == n || (f < batch.failures.size() && batch.failures[f].index < batch.indices[i]))
            add_failure(batch.failures[f++]);
        else
            add_image(batch, i++);
    }
    digests.insert(digests.end(), batch.digests.begin(), batch.digests.end());
    append_rows(kept, batch.evidence, kept_arrays);
    done += static_cast<int64_t>(n);
    const auto excluded = static_cast<int64_t>(scored.info.failures.size());
    if (done + excluded > done_before) progress.update(done + excluded, excluded);
}

ScoreRow SetRun::row_of(int64_t index) const {
    ScoreRow row;
    row.index = index;
    const ImageItem item = set.item(index);
    row.path = item.path;
    if (scored.info.role == SetRole::Id) row.label = item.label;  // OOD folders name other classes
    return row;
}

void SetRun::add_failure(const LoadFailure& failure) {
    ScoreRow row = row_of(failure.index);
    row.reason = failure.reason;
    scored.info.failures.push_back({row.path, row.reason});
    if (strict) throw strict_error(set.name() + ": " + row.path, row.reason);
    csv.write(row);
}

void SetRun::add_image(const BatchRecord& batch, size_t i) {
    ScoreRow row = row_of(batch.indices[i]);
    row.prediction = batch.predictions[i];
    for (const auto& column : batch.scores) row.scores.push_back(column[i]);
    if (row.label && *row.label < classes) {
        ++labelled;
        correct += row.prediction == row.label ? 1 : 0;
    }
    csv.write(row);
}

}  // namespace gs
