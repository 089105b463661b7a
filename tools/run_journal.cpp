#include "tools/run_journal.h"

#include <algorithm>

#include "core/byte_codec.h"
#include "tools/setup.h"

namespace gs {
namespace {

// What a record is, its first byte.
enum class Kind : uint8_t { Start = 'S', Resumed = 'R', Batch = 'B' };

std::vector<std::byte> record_of(Kind kind, std::span<const std::byte> payload) {
    std::vector<std::byte> record(1 + payload.size());
    record.front() = static_cast<std::byte>(kind);
    std::copy(payload.begin(), payload.end(), record.begin() + 1);
    return record;
}

std::vector<std::byte> text_record(Kind kind, const std::string& text) {
    return record_of(kind, std::as_bytes(std::span(text)));
}

// A journal that is damaged in its midst gets another name, and what stands before the damage, `whole`, goes
// on in its place: what follows the damage may have taken hours, and somebody may want to look at it.
void keep_damaged(const std::filesystem::path& path, std::span<const std::byte> whole) {
    namespace fs = std::filesystem;
    std::error_code error;
    fs::path kept = path.string() + ".damaged";
    for (int i = 2; fs::exists(kept, error); ++i) kept = path.string() + ".damaged" + std::to_string(i);
    fs::rename(path, kept, error);
    if (error)
        throw Error(ErrorKind::Internal,
                    path.string() + ": damaged, and cannot be renamed: " + error.message());
    write_file_atomically(path, {reinterpret_cast<const char*>(whole.data()), whole.size()});
    say("notice: " + path.string() + ": damaged, with records behind the damage; a copy is kept as " +
        kept.string() + ", and what stood before the damage is gone on with");
}

std::string text_of(std::span<const std::byte> payload) {
    return {reinterpret_cast<const char*>(payload.data()), payload.size()};
}

void encode(ByteEncoder& out, const RunIdentity& identity) {
    out.number(static_cast<uint64_t>(identity.size()));
    for (const auto& [name, value] : identity) {
        out.text(name);
        out.text(value);
    }
}

RunIdentity decode_identity(ByteDecoder& in) {
    RunIdentity identity;
    for (size_t left = in.count(2 * sizeof(uint64_t)); left > 0; --left) {
        std::string name = in.text();
        identity[std::move(name)] = in.text();
    }
    return identity;
}

std::vector<std::byte> encode(const RunStart& start) {
    ByteEncoder out;
    out.text(start.command);
    out.text(start.started);
    encode(out, start.identity);
    encode(out, start.circumstances);
    return out.take();
}

RunStart decode_start(std::span<const std::byte> payload) {
    ByteDecoder in(payload, "the beginning of a run");
    RunStart start{.identity = {}, .circumstances = {}, .command = in.text(), .started = ""};
    start.started = in.text();
    start.identity = decode_identity(in);
    start.circumstances = decode_identity(in);
    in.end();
    return start;
}

}  // namespace

RunJournal RunJournal::begin(const std::filesystem::path& path, const RunStart& start) {
    RunJournal journal(path);
    journal.write_start(start);
    return journal;
}

RunJournal RunJournal::resume(const std::filesystem::path& path, const RunStart& start,
                              const std::string& place) {
    RunJournal journal(path);
    std::error_code none;
    if (!std::filesystem::exists(path, none)) {
        journal.write_start(start);
        return journal;
    }
    journal.earlier_ = std::make_unique<MappedFile>(path, ErrorKind::Data);
    const Read read = journal.read(place);
    const std::optional<JournalPosition>& end = read.end;
    if (end) require_same_run(start.identity, journal.start_.identity, place);
    if (read.damaged)
        keep_damaged(path, journal.earlier_->bytes().first(end ? static_cast<size_t>(end->bytes) : 0));
    if (!end) {
        journal.write_start(start);
        return journal;
    }
    for (const std::string& line : differences(start.circumstances, journal.start_.circumstances))
        say("notice: " + line + "; the scores' last bits may come out otherwise");
    journal.resumed_ = true;
    journal.writer_ = std::make_unique<JournalWriter>(path, *end);
    journal.resumptions_.push_back(utc_now());
    journal.append(text_record(Kind::Resumed, journal.resumptions_.back()));
    return journal;
}

void RunJournal::write_start(const RunStart& start) {
    start_ = start;
    writer_ = std::make_unique<JournalWriter>(path_, JournalPosition{});
    append(record_of(Kind::Start, encode(start)));
    sync();
}

// Everything that is whole; no end where not even the start is.
RunJournal::Read RunJournal::read(const std::string& place) {
    try {
        JournalReader reader(earlier_->bytes());
        std::optional<JournalPosition> end;
        std::vector<std::pair<BatchHead, std::span<const std::byte>>>
            open;  // of the group that has not ended
        while (const auto record = reader.next()) {
            if (record->empty()) throw Error(ErrorKind::Data, "an empty record");
            const auto payload = record->subspan(1);
            const auto kind = static_cast<Kind>(record->front());
            if (end.has_value() == (kind == Kind::Start))
                throw Error(ErrorKind::Data, "records out of order");
            switch (kind) {
                case Kind::Start:
                    start_ = decode_start(payload);
                    end = reader.position();
                    break;
                case Kind::Resumed:
                    resumptions_.push_back(text_of(payload));
                    open.clear();
                    end = reader.position();
                    break;
                case Kind::Batch: {
                    open.emplace_back(decode_head(payload), payload);
                    if (!open.back().first.ends_group) break;
                    for (const auto& [head, batch] : open) {
                        stages_[head.stage].images += head.images;
                        stages_[head.stage].batches.push_back(batch);
                    }
                    open.clear();
                    end = reader.position();
                    break;
                }
                default:
                    throw Error(ErrorKind::Data, "an unknown record");
            }
        }
        return {end, reader.more_follows()};
    } catch (const Error& error) {
        throw Error(ErrorKind::Data, path_.string() + ": cannot be resumed: " + error.what() +
                                         "; --force begins " + place + " anew");
    }
}

int64_t RunJournal::images(const std::string& stage) const {
    const auto found = stages_.find(stage);
    return found == stages_.end() ? 0 : found->second.images;
}

int64_t RunJournal::images() const {
    int64_t sum = 0;
    for (const auto& [name, stage] : stages_) sum += stage.images;
    return sum;
}

void RunJournal::replay(const std::string& stage, size_t methods, const Request& arrays,
                        const std::function<void(BatchRecord)>& each) {
    const auto found = stages_.find(stage);
    if (found == stages_.end()) return;
    for (const std::span<const std::byte> bytes : found->second.batches) {
        BatchRecord record = decode_batch(bytes, methods, arrays);
        seconds_ += record.seconds;
        each(std::move(record));
    }
}

void RunJournal::add(const std::string& stage, const BatchRecord& record, const Request& arrays) {
    append(record_of(Kind::Batch, encode_batch(stage, record, arrays)));
    added_ = true;
    if (std::chrono::duration<double>(Clock::now() - synced_).count() > kSyncSeconds) sync();
}

Error RunJournal::interrupted() const {
    return {ErrorKind::Interrupted,
            "interrupted: nothing was written but " + path_.string() + "; --resume goes on"};
}

void RunJournal::append(std::span<const std::byte> payload) {
    writer_->append(payload);
}

void RunJournal::sync() {
    writer_->sync();
    synced_ = Clock::now();
}

void RunJournal::give_up(const Error& why) noexcept {
    std::error_code ignored;
    if (why.kind() == ErrorKind::Usage || (!added_ && stages_.empty()))
        std::filesystem::remove(path_, ignored);
}

void StagePosition::follow(const BatchRecord& record, int64_t last) {
    const auto fail = [] {
        throw Error(ErrorKind::Data, "the journal's batches do not follow each other; --force begins anew");
    };
    const auto images = static_cast<int64_t>(record.indices.size() + record.failures.size());
    const int64_t end = record.end(next);
    if (images == 0 || end != next + images || end > last) fail();
    std::vector<int64_t> all = record.indices;
    for (const LoadFailure& failure : record.failures) all.push_back(failure.index);
    std::sort(all.begin(), all.end());
    for (const int64_t index : all)
        if (index != next++) fail();
    group = record.group;
}

bool ends_group(const BatchRecord& record, const IndexRange& range, int64_t group) {
    const int64_t end = record.end(range.first);
    return end == range.last || (end - range.first) % group == 0;
}

void RunJournal::finish() {
    writer_.reset();
    std::error_code error;
    if (!std::filesystem::remove(path_, error) && error)
        throw Error(ErrorKind::Internal, path_.string() + ": cannot remove: " + error.message());
}

}  // namespace gs
