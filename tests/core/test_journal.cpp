// Journals: what was written comes back, whatever became of the end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/journal.h"
#include "tests/support/scratch_file.h"

namespace gs {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

struct Read {
    std::vector<std::string> records;
    JournalPosition end;
};

Read read(std::span<const std::byte> bytes) {
    JournalReader reader(bytes);
    Read read;
    while (const auto record = reader.next())
        read.records.emplace_back(reinterpret_cast<const char*>(record->data()), record->size());
    read.end = reader.position();
    return read;
}

class JournalFile : public testing::Test {
  protected:
    test::ScratchFile file_{{}, ".journal"};
    std::vector<std::byte> content() const { return read_file(file_.path(), ErrorKind::Data); }
    void write(const JournalPosition& at, const std::vector<std::string>& records) const {
        JournalWriter writer(file_.path(), at);
        for (const std::string& record : records) writer.append(bytes_of(record));
    }
};

TEST_F(JournalFile, GivesBackWhatWasWritten) {
    write({}, {"one", "", std::string(100000, 'x')});
    EXPECT_THAT(read(content()).records, ElementsAre("one", "", std::string(100000, 'x')));
    EXPECT_EQ(read(content()).end.bytes, static_cast<int64_t>(content().size()));
}

TEST_F(JournalFile, GrowsBehindWhatIsThere) {
    write({}, {"one", "two", "three"});
    const auto all = content();
    JournalReader two(all);
    two.next();
    two.next();
    write(two.position(), {"four"});
    EXPECT_THAT(read(content()).records, ElementsAre("one", "two", "four"));
}

TEST_F(JournalFile, CutAnywhereTheWholeRecordsAreRead) {
    write({}, {"one", "two", "three"});
    const auto all = content();
    size_t before = 0;
    for (size_t size = 0; size <= all.size(); ++size) {
        const Read cut = read(std::span(all).first(size));
        EXPECT_GE(cut.records.size(), before);
        before = cut.records.size();
        EXPECT_LE(cut.end.bytes, static_cast<int64_t>(size));
        // And it goes on from there.
        write({}, {});
        {
            AppendFile file(file_.path(), 0);
            file.write({reinterpret_cast<const char*>(all.data()), size});
        }
        write(cut.end, {"more"});
        EXPECT_THAT(read(content()).records, SizeIs(cut.records.size() + 1));
        EXPECT_EQ(read(content()).records.back(), "more");
    }
    EXPECT_EQ(before, 3u);
}

TEST_F(JournalFile, NothingBehindAChangedByteIsBelieved) {
    write({}, {"one", "two", "three"});
    const auto all = content();
    for (size_t k = 0; k < all.size(); ++k)
        for (const int bit : {0, 3, 7}) {
            auto changed = all;
            changed[k] ^= std::byte(1 << bit);
            if (k < 20) {
                EXPECT_THROW(read(changed), Error);
                continue;
            }
            const Read got = read(changed);
            EXPECT_LE(got.end.bytes, static_cast<int64_t>(k));
            for (size_t i = 0; i < got.records.size(); ++i)
                EXPECT_EQ(got.records[i], (std::vector<std::string>{"one", "two", "three"})[i]);
        }
}

bool more_follows(std::span<const std::byte> bytes) {
    JournalReader reader(bytes);
    while (reader.next()) {
    }
    return reader.more_follows();
}

// Wherever a bit has changed, what stands behind the record it is in is noticed.
TEST_F(JournalFile, RecordsBehindDamageAreSeen) {
    write({}, {"one", "two and a half", "three"});
    const auto all = content();
    const size_t last = all.size() - (16 + 5);
    for (size_t k = 20; k < all.size(); ++k)
        for (const int bit : {0, 3, 7}) {
            auto changed = all;
            changed[k] ^= std::byte(1 << bit);
            EXPECT_EQ(more_follows(changed), k < last) << k << " " << bit;
        }
}

// What ended with its process has nothing behind it, nor what a power cut leaves.
TEST_F(JournalFile, ARecordCutShortHasNothingBehind) {
    write({}, {"one", std::string(300, '\0') + "two", "three"});
    const auto all = content();
    for (size_t size = 0; size <= all.size(); ++size) {
        auto cut = std::vector<std::byte>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_FALSE(more_follows(cut)) << size;
        cut.resize(size + 4096);
        if (size < 20) continue;  // no first line, no journal
        EXPECT_FALSE(more_follows(cut)) << size << " and zeros";
    }
}

// A record in another place, or twice, is none.
TEST_F(JournalFile, RecordsBelongToThoseBefore) {
    write({}, {"aaa", "bbb"});
    auto all = content();
    const size_t record = (all.size() - 20) / 2;
    auto twice = all;
    twice.insert(twice.end(), all.end() - static_cast<std::ptrdiff_t>(record), all.end());
    EXPECT_THAT(read(twice).records, ElementsAre("aaa", "bbb"));
    std::rotate(all.begin() + 20, all.begin() + 20 + static_cast<std::ptrdiff_t>(record), all.end());
    EXPECT_THAT(read(all).records, SizeIs(0));
}

TEST_F(JournalFile, OtherFilesAreRefused) {
    EXPECT_THROW(read(bytes_of("gradscore journal 2\n")), Error);
    EXPECT_THROW(read(bytes_of("index,path,label\n")), Error);
    EXPECT_THAT(read(bytes_of("gradscore jou")).records, SizeIs(0));
}

}  // namespace
}  // namespace gs
