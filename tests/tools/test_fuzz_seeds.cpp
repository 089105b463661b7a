// Seeds of the fuzz targets that are about more than one folder: nets from tensors of any shape, journals of
// runs, files of flags, lists.
#include <gmock/gmock.h>

#include <set>

#include "data/sets.h"
#include "scores/group_head.h"
#include "tests/fuzz/config_file.h"
#include "tests/fuzz/described_net.h"
#include "tests/fuzz/journal_of.h"
#include "tests/support/corpus.h"
#include "tests/support/failure.h"
#include "tools/run_folder.h"

namespace gs::test {
namespace {

using testing::HasSubstr;

// Every byte of a net would be tens of thousands of nets: every line is left out instead, and stands twice.
TEST(FuzzSeeds, Nets) {
    const std::unique_ptr<Backend> backend = make_cpu_backend({.threads = 1});
    const auto is_built = [&](const std::string& text) {
        try {
            return !build_described_net(*backend, text).nodes.empty();
        } catch (const Error& error) {
            EXPECT_NE(error.kind(), ErrorKind::Internal) << error.what();
            return false;
        }
    };
    std::set<std::string> families;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(GS_SOURCE_DIR) /
                                                                 "tests/fuzz/corpus/net")) {
        SCOPED_TRACE(entry.path().string());
        const auto bytes = read_file(entry.path(), ErrorKind::Data);
        const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        families.insert(to_string(build_described_net(*backend, text).architecture.family));
        int refused = 0, lines = 0;
        for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
            const size_t end = text.find('\n', at) + 1;
            refused += is_built(text.substr(0, at) + text.substr(end)) ? 0 : 1;
            is_built(text.substr(0, end) + text.substr(at));
            ++lines;
        }
        EXPECT_GE(refused, lines - 2) << "every tensor is needed";
    }
    EXPECT_EQ(families.size(), 6u);
}

TEST(FuzzSeeds, JournalsOfRuns) {
    const RunStart start{
        .identity = {{"--methods", "msp"}}, .circumstances = {}, .command = "", .started = ""};
    int64_t most = 0;
    replay("run_journal", ErrorKind::Data, [&](std::string_view text) {
        try {
            const JournalOf journal(std::as_bytes(std::span(text)));
            most = std::max(most, journal.resume(start, "score a", 1, {.logits = true}));
        } catch (const Error& error) {
            if (error.kind() != ErrorKind::Usage) throw;
            EXPECT_THAT(error.what(), HasSubstr("not the run that began there"));
        }
    });
    EXPECT_EQ(most, 9);
}

TEST(FuzzSeeds, FilesOfFlags) {
    replay("config", ErrorKind::Usage, [](std::string_view text) {
        try {
            const std::string kept = flags_of(std::string(text));
            EXPECT_EQ(flags_of(kept), kept);
        } catch (const CLI::ParseError&) {
        }
    });
}

// Each is a list of some kind.
TEST(FuzzSeeds, Lists) {
    replay("lists", ErrorKind::Data, [](std::string_view text) {
        const std::function<void()> readers[] = {
            [&] { detail::parse_skip_list(text, "f"); },
            [&] { parse_group_file(std::as_bytes(std::span(text)), "f"); },
            [&] { parse_digests(text, "f"); }};
        int refused = 0;
        for (const auto& read : readers) refused += failure_of(ErrorKind::Data, read) != "no error";
        if (refused == 3) throw Error(ErrorKind::Data, "no list");
    });
}

}  // namespace
}  // namespace gs::test
