#include "tools/journaled_stage.h"

#include <chrono>

namespace gs {

BatchRecord record_of_evidence(const Batch&, Evidence evidence) {
    BatchRecord record;
    record.evidence = std::move(evidence);
    return record;
}

bool JournaledStage::run(const Preprocess& preprocess, BatchOptions options) const {
    StagePosition at{.next = range.first};
    if (journal != nullptr)
        journal->replay(name, scores, arrays, [&](const BatchRecord& record) {
            at.follow(record, range.last);
            take(record, true);
        });
    if (at.next == range.last) return true;
    Executor& net = executor();
    options.group = at.group > 0 ? at.group : loader_group(net, preprocess, options.batch);
    options.first = at.next;
    options.last = range.last;
    auto since = std::chrono::steady_clock::now();
    const bool complete =
        run_batches(net, set, preprocess, options, [&](const Batch& batch, Evidence evidence) {
            BatchRecord record = compute(batch, std::move(evidence));
            record.indices = batch.indices;
            record.digests = batch.digests;
            record.failures = batch.failures;
            record.group = options.group;
            record.ends_group = ends_group(record, range, options.group);
            take(record, false);
            const auto now = std::chrono::steady_clock::now();
            record.seconds = std::chrono::duration<double>(now - since).count();
            since = now;
            if (journal != nullptr) journal->add(name, record, arrays);
        });
    if (journal != nullptr) journal->sync();
    return complete;
}

}  // namespace gs
