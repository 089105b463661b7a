// A run's journal out of any bytes, with right checksums, which are out of a fuzzer's reach: records of a
// length in two bytes and as many bytes, the last one of what there is.
#pragma once

#include <algorithm>
#include <string>

#include "tests/support/scratch_file.h"
#include "tools/run_journal.h"

namespace gs::test {

class JournalOf {
  public:
    explicit JournalOf(std::span<const std::byte> bytes) {
        JournalWriter writer(file_.path(), {});
        while (bytes.size() >= 2) {
            const size_t length = std::to_integer<size_t>(bytes[0]) | std::to_integer<size_t>(bytes[1]) << 8;
            bytes = bytes.subspan(2);
            const auto record = bytes.first(std::min(length, bytes.size()));
            writer.append(record);
            bytes = bytes.subspan(record.size());
        }
    }

    // Goes on with it as with a run of `methods` methods, and says how many images are done. Throws
    // Error(Data), or Error(Usage) where it is of another run.
    int64_t resume(const RunStart& start, const std::string& stage, size_t methods,
                   const Request& arrays) const {
        RunJournal journal = RunJournal::resume(file_.path(), start, "fuzz");
        StagePosition position;
        journal.replay(stage, methods, arrays,
                       [&](const BatchRecord& record) { position.follow(record, int64_t{1} << 40); });
        return journal.images();
    }

  private:
    ScratchFile file_{{}, ".journal"};
};

}  // namespace gs::test
