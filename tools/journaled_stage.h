// The images of a set through the net and a run's journal, batch by batch: what scoring, fitting and
// searching share. Batches that an earlier process has done come from the journal; the others are run and go
// into it.
#pragma once

#include <functional>
#include <string>

#include "core/shard.h"
#include "data/image_set.h"
#include "tools/batch_record.h"
#include "tools/batches.h"
#include "tools/run_journal.h"

namespace gs {

// A record of all the evidence of a batch, for `compute` below.
BatchRecord record_of_evidence(const Batch& batch, Evidence evidence);

struct JournaledStage {
    RunJournal* journal;  // null: every batch is run, none is kept
    std::string name;     // in the journal
    const ImageSet& set;
    IndexRange range;       // of its images
    size_t scores = 0;      // of an image, in a record
    const Request& arrays;  // that records keep

    // Asked for once, and only where images are left to be run.
    std::function<Executor&()> executor;
    // What is kept of a batch: scores, predictions and arrays; the rest of the record is filled in here.
    std::function<BatchRecord(const Batch&, Evidence)> compute;
    // Every record in order of index, before it goes into the journal: what it throws keeps the batch out.
    std::function<void(const BatchRecord&, bool replayed)> take;

    // options.group, first and last are the stage's own. False where interrupted() ended it. Throws as the
    // functions, the journal and the loader do.
    bool run(const Preprocess& preprocess, BatchOptions options) const;
};

}  // namespace gs
