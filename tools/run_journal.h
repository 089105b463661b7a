// The journal of a run that is not finished: what it was started with, and every batch that is done, so that
// --resume goes on behind the last one. A batch is in the file before the next one begins, and on the disk at
// most kSyncSeconds later.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/journal.h"
#include "core/run_identity.h"
#include "core/shard.h"
#include "tools/batch_record.h"

namespace gs {

// Of the process that began the run.
struct RunStart {
    RunIdentity identity;       // must be the same in one that goes on
    RunIdentity circumstances;  // may change the last bits: a notice where it differs
    std::string command, started;
};

class RunJournal {
  public:
    static constexpr double kSyncSeconds = 5;

    // A new journal at `path`, over whatever lies there.
    static RunJournal begin(const std::filesystem::path& path, const RunStart& start);
    // The one that lies there, cut behind its last whole group of batches; a new one where nothing does, or
    // no more than its first bytes. `place` is how messages call it ("run"). Throws Error(Usage) where it is
    // of another run, naming every difference, Error(Data) for a file that is no journal.
    static RunJournal resume(const std::filesystem::path& path, const RunStart& start,
                             const std::string& place);

    const RunStart& start() const { return start_; }  // of the process that began
    bool resumed() const { return resumed_; }
    const std::vector<std::string>& resumptions() const { return resumptions_; }  // when, ISO 8601
    double seconds() const { return seconds_; }  // that the batches took which were there already

    int64_t images(const std::string& stage) const;  // of the batches of a stage that were there
    int64_t images() const;                          // of all

    // The batches of a stage that were there, in order; each is read when its turn comes. Stages come in the
    // same order in every process. Throws Error(Data) for records that are not of this stage.
    void replay(const std::string& stage, size_t methods, const Request& arrays,
                const std::function<void(BatchRecord)>& each);
    // One more. Throws Error(Internal) where it cannot be written.
    void add(const std::string& stage, const BatchRecord& record, const Request& arrays);
    void sync();
    // The run is done, its results are written: the file goes.
    void finish();
    // What to throw where work is interrupted whose results are written in the end alone.
    Error interrupted() const;
    // Of a run that has failed: the file goes where it is worth nothing, for not one image is done, or the
    // flags were wrong, with which alone it could go on.
    void give_up(const Error& why) noexcept;

  private:
    using Clock = std::chrono::steady_clock;

    std::filesystem::path path_;
    RunStart start_;
    std::vector<std::string> resumptions_;
    bool resumed_ = false, added_ = false;
    double seconds_ = 0;
    std::unique_ptr<MappedFile> earlier_;  // the file as it was found
    struct Stage {
        int64_t images = 0;
        std::vector<std::span<const std::byte>> batches;  // in earlier_
    };
    std::map<std::string, Stage> stages_;
    std::unique_ptr<JournalWriter> writer_;
    Clock::time_point synced_ = Clock::now();

    explicit RunJournal(std::filesystem::path path) : path_(std::move(path)) {}
    void write_start(const RunStart& start);
    struct Read {
        std::optional<JournalPosition> end;
        bool damaged = false;  // with whole records behind
    };
    Read read(const std::string& place);
    void append(std::span<const std::byte> payload);
};

// Where a stage goes on: behind the batches that were replayed.
struct StagePosition {
    int64_t next = 0;   // image
    int64_t group = 0;  // images that the loader takes together; 0: to be chosen

    // One more batch was replayed, of a stage that ends in front of image `last`. Throws Error(Data) where it
    // does not follow.
    void follow(const BatchRecord& record, int64_t last);
};
// Whether a batch of the stage's `range` is the last of its group.
bool ends_group(const BatchRecord& record, const IndexRange& range, int64_t group);

}  // namespace gs
