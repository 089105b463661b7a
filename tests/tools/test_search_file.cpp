// Search files: read, refused with their place, and the fuzz target's seeds cut and changed anywhere.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/files.h"
#include "tests/support/corpus.h"
#include "tests/support/failure.h"
#include "tools/search_file.h"

namespace gs::test {
namespace {

using testing::HasSubstr;

std::filesystem::path seed() {
    return std::filesystem::path(GS_SOURCE_DIR) / "tests/fuzz/corpus/search_file/found.json";
}

std::string seed_text() {
    const auto bytes = read_file(seed(), ErrorKind::Data);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(SearchFile, IsReadWithItsHashesInOrder) {
    const SearchFile file = search_file_from_json(seed_text(), "f");
    EXPECT_EQ(file.by.weights_sha256, "2f1c");
    ASSERT_EQ(file.methods.size(), 1u);
    EXPECT_EQ(file.methods[0].name, "nac");
    EXPECT_EQ(file.methods[0].options.at("alpha"), "30+0.01");
    EXPECT_EQ(file.started_with.at("--limit"), "20");
    ASSERT_EQ(file.seen.size(), 2u);
    EXPECT_EQ(file.seen[0][1], std::byte{0x11});
    EXPECT_LT(file.seen[0], file.seen[1]);
}

TEST(SearchFile, SeedsAndDamagedOnesAreReadOrRefused) {
    replay("search_file", ErrorKind::Data, [](std::string_view text) { search_file_from_json(text, "f"); });
}

TEST(SearchFile, WrongMembersAreNamed) {
    const auto complaint = [](const std::string& from, const std::string& to) {
        std::string text = seed_text();
        text.replace(text.find(from), from.size(), to);
        return failure_of(ErrorKind::Data, [&] { search_file_from_json(text, "f"); });
    };
    EXPECT_THAT(complaint("search/1", "search/2"), HasSubstr("schema"));
    EXPECT_THAT(complaint("nac:variant=v15", "nac:variant"), HasSubstr("results[0].method"));
    EXPECT_THAT(complaint("\"nac:", "\"nac:a=1,msp:"), HasSubstr("results[0].method"));
    EXPECT_THAT(complaint("\"20\"", "20"), HasSubstr("started_with"));
    EXPECT_THAT(complaint("ffee", "FFEE"), HasSubstr("seen[1]"));
    EXPECT_THAT(complaint("\"seen\"", "\"sean\""), HasSubstr("seen"));
}

TEST(SearchFile, GivesItsOptionsToMethodsThatNameIt) {
    const std::filesystem::path path = seed();
    const Computation own{"2f1c", "resnet8-cifar", "short side 32"};
    const auto used = [&](const std::string& list, StatisticsStore* statistics) {
        std::vector<MethodSpec> methods = parse_methods(list);
        use_search_files(methods, own, statistics);
        return methods;
    };
    StatisticsStore statistics("", own);
    const auto methods = used("msp,nac:stats=s:search=" + path.string(), &statistics);
    EXPECT_TRUE(methods[0].options.empty());
    EXPECT_EQ(methods[1].options.at("O"), "4+2");
    EXPECT_EQ(methods[1].options.at("stats"), "s");
    EXPECT_FALSE(methods[1].options.contains("search"));
    const auto* seen_in = statistics.seen_in(search_file_from_json(seed_text(), "f").seen[0]);
    ASSERT_NE(seen_in, nullptr);
    EXPECT_EQ(*seen_in, path);
    EXPECT_EQ(statistics.seen_in(ImageDigest{}), nullptr);
    std::vector<MethodSpec> methods_of_other = parse_methods("nac:search=" + path.string());
    EXPECT_THAT(failure_of(ErrorKind::Usage,
                           [&] {
                               use_search_files(methods_of_other,
                                                {"2f1c", "resnet8-cifar (pool_window 5)", "short side 32"},
                                                nullptr);
                           }),
                HasSubstr("another net, resnet8-cifar"));
    EXPECT_THROW(used("nac:O=3:search=" + path.string(), nullptr), Error) << "O is given twice";
    EXPECT_THROW(used("mahalanobis:search=" + path.string(), nullptr), Error) << "not there";
}

}  // namespace
}  // namespace gs::test
