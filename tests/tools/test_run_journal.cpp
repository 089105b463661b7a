// Records of a run's journal: what comes back, and what is refused.
#include <cmath>
#include <limits>

#include "core/files.h"
#include "tests/support/corpus.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_file.h"
#include "tools/run_journal.h"

namespace gs::test {
namespace {

const Request kArrays{.logits = true,
                      .features = true,
                      .activations = {{.tap = "block1", .reduction = Reduction::Mean}},
                      .backwards = {}};

BatchRecord batch(int64_t first, bool ends_group) {
    BatchRecord record{.seconds = 0.25,
                       .group = 4,
                       .ends_group = ends_group,
                       .indices = {first, first + 2},
                       .digests = {std::string(64, 'a'), std::string(64, 'b')},
                       .failures = {{.index = first + 1, .reason = "broken, \"quoted\"\n"}},
                       .predictions = {3, 0},
                       .scores = {{0.1, -1e300}, {std::numeric_limits<double>::quiet_NaN(), 0}},
                       .evidence = {}};
    record.evidence.samples = 2;
    record.evidence.logits = {2, 2, {1, 2, 3, 4}};
    record.evidence.features = {2, 1, {5, 6}};
    record.evidence.activations[kArrays.activations[0]] = {2, 3, {1, 2, 3, 4, 5, 6}};
    return record;
}

RunStart start(const std::string& methods = "msp") {
    return {
        .identity = {{"--methods", methods}}, .circumstances = {}, .command = "gradscore", .started = "now"};
}

class Journals : public testing::Test {
  protected:
    ScratchFile file_{{}, ".journal"};
    std::vector<int64_t> replayed(RunJournal& journal, const std::string& stage) const {
        std::vector<int64_t> first;
        journal.replay(stage, 2, kArrays,
                       [&](const BatchRecord& record) { first.push_back(record.indices[0]); });
        return first;
    }
};

TEST(BatchRecords, ComeBackAsTheyWere) {
    const BatchRecord want = batch(7, true);
    const BatchRecord got = decode_batch(encode_batch("score x", want, kArrays), 2, kArrays);
    EXPECT_EQ(got.seconds, want.seconds);
    EXPECT_EQ(got.group, want.group);
    EXPECT_TRUE(got.ends_group);
    EXPECT_EQ(got.indices, want.indices);
    EXPECT_EQ(got.digests, want.digests);
    ASSERT_EQ(got.failures.size(), 1u);
    EXPECT_EQ(got.failures[0].index, 8);
    EXPECT_EQ(got.failures[0].reason, want.failures[0].reason);
    EXPECT_EQ(got.predictions, want.predictions);
    EXPECT_EQ(got.scores[0], want.scores[0]);
    EXPECT_TRUE(std::isnan(got.scores[1][0]));
    EXPECT_EQ(got.evidence.samples, 2);
    EXPECT_EQ(got.evidence.activation(kArrays.activations[0]).values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(got.end(0), 10);
}

TEST(BatchRecords, OfImagesThatNoSetHasAreRefused) {
    for (const int64_t first : {int64_t{-1}, std::numeric_limits<int64_t>::max() - 2}) {
        const std::vector<std::byte> bytes = encode_batch("score x", batch(first, true), kArrays);
        EXPECT_EQ(failure_of(ErrorKind::Data, [&] { decode_batch(bytes, 2, kArrays); }),
                  "not the record of a batch");
    }
}

// Seeds of the fuzz target: a journal is read as one, the payload as a batch.
TEST(BatchRecords, FuzzSeedsSurviveDamage) {
    int journals = 0, batches = 0;
    replay("journal", ErrorKind::Data, [&](std::string_view text) {
        const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
        if (text.starts_with("gradscore journal")) {
            JournalReader reader(bytes);
            while (reader.next()) ++journals;
            return;
        }
        decode_batch(bytes, 2, kArrays);
        ++batches;
    });
    EXPECT_GT(journals, 3);
    EXPECT_GE(batches, 1);
}

TEST_F(Journals, GoOnBehindTheLastWholeGroup) {
    {
        RunJournal journal = RunJournal::begin(file_.path(), start());
        journal.add("score a", batch(0, false), kArrays);
        journal.add("score a", batch(3, true), kArrays);
        journal.add("score b", batch(0, true), kArrays);
        journal.add("score b", batch(3, false), kArrays);  // the rest of its group never came
    }
    RunJournal journal = RunJournal::resume(file_.path(), start(), "run");
    EXPECT_TRUE(journal.resumed());
    EXPECT_EQ(journal.images(), 9);
    EXPECT_EQ(journal.images("score a"), 6);
    EXPECT_EQ(replayed(journal, "score a"), (std::vector<int64_t>{0, 3}));
    EXPECT_EQ(replayed(journal, "score b"), (std::vector<int64_t>{0}));
    EXPECT_EQ(replayed(journal, "score c"), (std::vector<int64_t>{}));
    EXPECT_EQ(journal.seconds(), 0.75);
    journal.add("score b", batch(3, true), kArrays);
    RunJournal again = RunJournal::resume(file_.path(), start(), "run");
    EXPECT_EQ(replayed(again, "score b"), (std::vector<int64_t>{0, 3}));
    EXPECT_EQ(again.resumptions().size(), 2u);
}

// Hours of work may stand behind one changed bit.
TEST_F(Journals, DamagedInTheirMidstAreKeptAside) {
    {
        RunJournal journal = RunJournal::begin(file_.path(), start());
        for (const int64_t first : {0, 3, 6}) journal.add("score a", batch(first, true), kArrays);
    }
    const std::vector<std::byte> whole = read_file(file_.path(), ErrorKind::Data);
    const auto resumed_with_change_at = [&](size_t at) {
        std::string damaged(reinterpret_cast<const char*>(whole.data()), whole.size());
        damaged[at] = static_cast<char>(damaged[at] ^ 1);
        write_file_atomically(file_.path(), damaged);
        testing::internal::CaptureStderr();
        const int64_t images = RunJournal::resume(file_.path(), start(), "run").images();
        return std::pair(images, testing::internal::GetCapturedStderr());
    };
    const auto kept = [&](const std::string& ending) {
        return std::filesystem::exists(file_.path() + ending);
    };
    const auto [none, first_record] = resumed_with_change_at(40);
    EXPECT_EQ(none, 0);
    EXPECT_TRUE(kept(".damaged"));
    EXPECT_NE(first_record.find(".journal.damaged"), std::string::npos) << first_record;
    JournalReader reader(whole);
    reader.next();
    reader.next();
    const auto second_batch = static_cast<size_t>(reader.position().bytes);
    EXPECT_EQ(resumed_with_change_at(second_batch + 60).first, 3) << "the first batch";
    EXPECT_EQ(read_file(file_.path() + ".damaged2", ErrorKind::Data).size(), whole.size());
    // What a killed process was writing is no loss.
    EXPECT_EQ(resumed_with_change_at(whole.size() - 1), std::pair(int64_t{6}, std::string()));
    EXPECT_FALSE(kept(".damaged3"));
    for (const char* ending : {".damaged", ".damaged2"}) std::filesystem::remove(file_.path() + ending);
}

TEST_F(Journals, OfAnotherRunAreRefused) {
    RunJournal::begin(file_.path(), start());
    try {
        RunJournal::resume(file_.path(), start("energy"), "run");
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Usage);
        EXPECT_STREQ(
            error.what(),
            "--resume run: not the run that began there: --methods: energy now, msp when the run began");
    }
}

// Records that are whole and yet cannot be: another program's, or made to hurt.
TEST_F(Journals, WholeRecordsOfNoSenseAreRefused) {
    const auto refused = [&](const std::vector<std::string>& records) {
        JournalWriter writer(file_.path(), {});
        for (const std::string& record : records) writer.append(std::as_bytes(std::span(record)));
        EXPECT_THROW(RunJournal::resume(file_.path(), start(), "run"), Error);
    };
    refused({""});
    refused({"X"});
    refused({"S"});
    refused({"B"});
    refused({"S" + std::string(16, '\0') + std::string(8, '\xff')});
    RunJournal::begin(file_.path(), start());
    const MappedFile kept(file_.path(), ErrorKind::Data);
    JournalReader whole(kept.bytes());
    const auto first = whole.next().value();
    const std::string begin(reinterpret_cast<const char*>(first.data()), first.size());
    refused({begin, begin});
    refused({begin, "B" + std::string(8, '\xff')});
}

TEST(StagePositions, BatchesMustFollowEachOther) {
    StagePosition at{.next = 3};
    at.follow(batch(3, true), 9);
    EXPECT_EQ(at.next, 6);
    EXPECT_EQ(at.group, 4);
    StagePosition gap{.next = 2}, beyond{.next = 3}, twice{.next = 3};
    EXPECT_THROW(gap.follow(batch(3, true), 9), Error);
    EXPECT_THROW(beyond.follow(batch(3, true), 5), Error);
    BatchRecord doubled = batch(3, true);
    doubled.failures[0].index = 3;
    EXPECT_THROW(twice.follow(doubled, 9), Error);
}

}  // namespace
}  // namespace gs::test
