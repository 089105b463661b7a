// Statistics files: written, read back, damaged in every way, merged, and looked up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/files.h"
#include "scores/statistics.h"
#include "tests/support/failure.h"
#include "tests/weights/builders.h"
#include "weights/weight_file.h"

namespace gs {
namespace {

using test::failure_of;
using testing::HasSubstr;
using testing::StartsWith;

ImageDigest digest(uint8_t first) {
    ImageDigest d{};
    d[0] = static_cast<std::byte>(first);
    d[15] = std::byte{7};
    return d;
}

FitState klm_state(double value, const std::string& by = "label") {
    return {.method = "klm",
            .options = {{"by", by}, {"templates", "fit"}},
            .arrays = {{"sums", {{2, 2}, std::vector<double>{value, 1, 0, 2}}},
                       {"counts", {{2}, std::vector<int64_t>{1, 2}}}}};
}

Statistics sample() {
    Statistics s{.net = "resnet8-cifar",
                 .weights_sha256 = std::string(64, 'a'),
                 .preprocess = "centre crop 32",
                 .set = "train=folder:/data/train",
                 .total = 40,
                 .limit = 30,
                 .seen = {digest(1), digest(2), digest(9)},
                 .states = {klm_state(3)},
                 .started_with = {{"--shard", "1/3"}, {"net", "a \"b\""}}};
    s.states.push_back({.method = "other",
                        .options = {},
                        .arrays = {{"a/b", {{3}, std::vector<float>{1, -2, 0.5f}}},
                                   {"bits", {{1, 2}, std::vector<uint8_t>{0, 255}}},
                                   {"none", {{0, 4}, std::vector<float>{}}},
                                   {"scalar", {{}, std::vector<double>{1e-300}}}}});
    return s;
}

class StatisticsFiles : public testing::Test {
  protected:
    StatisticsFiles() {
        std::string name = (std::filesystem::temp_directory_path() / "gs_stats_XXXXXX").string();
        folder_ = ::mkdtemp(name.data());
    }
    ~StatisticsFiles() override { std::filesystem::remove_all(folder_); }

    std::filesystem::path saved(const Statistics& s, const std::string& name = "s.safetensors") const {
        write_statistics(folder_ / name, s);
        return folder_ / name;
    }
    static std::string content(const std::filesystem::path& path) {
        const auto bytes = read_file(path, ErrorKind::Data);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    std::filesystem::path folder_;
};

std::string refusal(const std::string& bytes) {
    return failure_of(ErrorKind::Data, [&] {
        read_statistics_from_memory(std::as_bytes(std::span(bytes)), "file.safetensors");
    });
}

void expect_equal(const Statistics& a, const Statistics& b) {
    EXPECT_EQ(std::tie(a.net, a.weights_sha256, a.preprocess, a.set, a.total, a.shard, a.shards, a.seen),
              std::tie(b.net, b.weights_sha256, b.preprocess, b.set, b.total, b.shard, b.shards, b.seen));
    EXPECT_EQ(a.limit, b.limit);
    EXPECT_EQ(a.started_with, b.started_with);
    ASSERT_EQ(a.states.size(), b.states.size());
    for (size_t i = 0; i < a.states.size(); ++i) {
        EXPECT_EQ(a.states[i].method, b.states[i].method);
        EXPECT_EQ(a.states[i].options, b.states[i].options);
        ASSERT_EQ(a.states[i].arrays.size(), b.states[i].arrays.size());
        for (const auto& [name, array] : a.states[i].arrays) {
            EXPECT_EQ(array.shape, b.states[i].array(name).shape) << name;
            EXPECT_EQ(array.values, b.states[i].array(name).values) << name;
        }
    }
}

TEST_F(StatisticsFiles, AreReadBackAsWritten) {
    expect_equal(read_statistics(saved(sample())), sample());
    EXPECT_EQ(limit_of_statistics(saved(sample())), 30);
    Statistics shard = sample();
    shard.shard = 2;
    shard.shards = 5;
    shard.seen.clear();
    shard.states.push_back(klm_state(8, "predicted"));  // several fits of one method
    expect_equal(read_statistics(saved(shard)), shard);
}

TEST_F(StatisticsFiles, BytesThatAreNoUtf8DoNotKeepThemFromBeingWritten) {
    Statistics s = sample();
    s.set = "t=folder:/d/\xff";
    EXPECT_EQ(read_statistics(saved(s)).set, "t=folder:/d/\\xff");
}

TEST(ImageDigests, AreTheFirstHalfOfTheHash) {
    std::string hex = "00ff10";
    hex.resize(64, 'a');
    const ImageDigest d = image_digest(hex);
    EXPECT_EQ(d[0], std::byte{0});
    EXPECT_EQ(d[1], std::byte{0xff});
    EXPECT_EQ(d[2], std::byte{0x10});
    EXPECT_EQ(d[15], std::byte{0xaa});
}

TEST(ImageDigests, AreFound) {
    const Statistics s = sample();
    EXPECT_TRUE(s.saw(digest(1)));
    EXPECT_TRUE(s.saw(digest(9)));
    EXPECT_FALSE(s.saw(digest(3)));
    EXPECT_FALSE(Statistics{}.saw(digest(1)));
}

TEST_F(StatisticsFiles, OtherFilesAreRefusedByName) {
    EXPECT_THAT(refusal("not safetensors"), StartsWith("file.safetensors: "));
    const std::vector<float> value{1};
    const auto path = folder_ / "weights.safetensors";
    write_safetensors(path,
                      std::vector<NamedTensor>{{"w", StoredType::F32, {1}, std::as_bytes(std::span(value))}});
    EXPECT_THAT(refusal(content(path)), HasSubstr("no statistics file; gradscore fit writes them"));
    EXPECT_THAT(failure_of(ErrorKind::Data, [&] { read_statistics(folder_ / "absent.safetensors"); }),
                HasSubstr("absent.safetensors"));
}

// The file's parts, to be written again with one of them changed.
struct Parts {
    std::map<std::string, std::string> metadata;
    std::vector<NamedTensor> tensors;
    WeightFile file;
};

class DamagedStatistics : public StatisticsFiles {
  protected:
    std::string refused(const std::function<void(Parts&)>& damage) const {
        Parts parts{{}, {}, read_weights(saved(sample()))};
        parts.metadata = parts.file.metadata;
        for (const StoredTensor& t : parts.file.tensors)
            parts.tensors.push_back({t.name, t.type, t.shape, t.storage});
        damage(parts);
        const auto path = folder_ / "damaged.safetensors";
        write_safetensors(path, parts.tensors, parts.metadata);
        return refusal(content(path));
    }
    static NamedTensor& named(Parts& parts, const std::string& name) {
        for (NamedTensor& t : parts.tensors)
            if (t.name == name) return t;
        throw std::runtime_error("no tensor " + name);
    }
};

TEST_F(DamagedStatistics, NothingDamagedIsRead) {
    EXPECT_EQ(refused([](Parts&) {}), "no error");
}

TEST_F(DamagedStatistics, EveryFactIsNeeded) {
    for (const char* key :
         {"schema", "net", "weights_sha256", "preprocess", "set", "total", "shard", "shards", "states"})
        EXPECT_THAT(refused([&](Parts& p) { p.metadata.erase(key); }),
                    testing::AnyOf(HasSubstr("'" + std::string(key) + "' is missing"),
                                   HasSubstr("no statistics file")));
    EXPECT_THAT(refused([](Parts& p) { p.metadata["schema"] = "gradscore/statistics/2"; }),
                HasSubstr("schema 'gradscore/statistics/2', this version reads 'gradscore/statistics/1'"));
    for (const auto& [key, value] :
         std::vector<std::pair<std::string, std::string>>{{"total", "0"},
                                                          {"total", "4x"},
                                                          {"total", ""},
                                                          {"limit", "0"},
                                                          {"limit", "all"},
                                                          {"shards", "0"},
                                                          {"shard", "-1"},
                                                          {"shard", "99999999999999999999"}})
        EXPECT_THAT(refused([&](Parts& p) { p.metadata[key] = value; }), HasSubstr("no whole number"));
    EXPECT_THAT(refused([](Parts& p) { p.metadata["shard"] = "1"; }), HasSubstr("shard is not below shards"));
}

TEST_F(StatisticsFiles, OfEarlierVersionsHaveFewerFacts) {
    Statistics s = sample();
    s.started_with.clear();
    s.limit.reset();
    expect_equal(read_statistics(saved(s)), s);
    EXPECT_EQ(limit_of_statistics(saved(s)), std::nullopt);
}

TEST_F(DamagedStatistics, WhatTheyWereStartedWithIsChecked) {
    for (const char* text : {"", "[]", "{\"a\":1}", "{"})
        EXPECT_THAT(refused([&](Parts& p) { p.metadata["started_with"] = text; }),
                    HasSubstr("metadata 'started_with' is no object of texts; the file is damaged"));
}

TEST_F(DamagedStatistics, ListsOfStatesAreChecked) {
    for (const char* list : {"", "{}", "[]", "[1]", "[{}]", "[{\"method\":1}]",
                             R"([{"method":"klm","options":{"by":1},"arrays":[]}])",
                             R"([{"method":"klm","options":{},"arrays":[1]}])",
                             R"([{"method":"klm","options":{},"arrays":"sums"}])", "[[[["})
        EXPECT_THAT(refused([&](Parts& p) { p.metadata["states"] = list; }), HasSubstr("states"));
    EXPECT_THAT(refused([](Parts& p) {
                    p.metadata["states"] = R"([{"method":"klm","options":{},"arrays":["sums","sums"]}])";
                }),
                HasSubstr("'sums' is listed twice"));
    EXPECT_THAT(refused([](Parts& p) {
                    p.metadata["states"] = R"([{"method":"klm","options":{},"arrays":["absent"]}])";
                }),
                HasSubstr("tensor '0.klm/absent' is missing"));
    EXPECT_THAT(refused([](Parts& p) {
                    p.metadata["states"] = R"([{"method":"klm","options":{},"arrays":["sums"]}])";
                }),
                HasSubstr("tensors that belong to no fit"));
}

TEST_F(DamagedStatistics, TensorsAreChecked) {
    EXPECT_THAT(refused([](Parts& p) { named(p, "seen").shape = {6, 8}; }), HasSubstr("U8 [N, 16]"));
    EXPECT_THAT(refused([](Parts& p) { named(p, "seen").shape = {48}; }), HasSubstr("U8 [N, 16]"));
    EXPECT_THAT(refused([](Parts& p) { named(p, "seen").name = "saw"; }), HasSubstr("'seen' is missing"));
    static const std::vector<std::byte> zeros(48);
    EXPECT_THAT(refused([](Parts& p) { named(p, "seen").bytes = zeros; }), HasSubstr("not ascending"));
    EXPECT_THAT(refused([](Parts& p) {
                    NamedTensor& t = named(p, "0.klm/counts");
                    t.type = StoredType::I32;
                    t.shape = {4};
                }),
                HasSubstr("is I32; statistics are F32, F64, I64 or U8"));
    EXPECT_THAT(refused([](Parts& p) {
                    p.tensors.push_back({"x", StoredType::U8, {0}, {}});
                }),
                HasSubstr("tensors that belong to no fit"));
}

TEST_F(StatisticsFiles, CutAnywhereOrChangedAnywhere) {
    const std::string good = content(saved(sample()));
    for (size_t length = 0; length < good.size(); ++length)
        ASSERT_NE(refusal(good.substr(0, length)), "no error") << length;
    for (size_t at = 0; at < good.size(); ++at)
        for (const int flip : {0x01, 0x80, 0xff}) {
            std::string changed = good;
            changed[at] = static_cast<char>(changed[at] ^ flip);
            refusal(changed);  // an error of one line, or a result
        }
}

// The fuzz target's seeds: header and data without the length before them.
TEST_F(StatisticsFiles, SeedsOfTheFuzzTargetAreGoodAndSurviveDamage) {
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(GS_SOURCE_DIR) /
                                                                 "tests/fuzz/corpus/statistics")) {
        SCOPED_TRACE(entry.path().string());
        const std::string seed = content(entry.path());
        EXPECT_EQ(refusal(testing_weights::header_and_data(seed)), "no error");
        for (size_t at = 0; at < seed.size(); ++at) {
            std::string changed = seed;
            changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
            refusal(testing_weights::header_and_data(changed));
        }
        ++files;
    }
    EXPECT_GE(files, 2);
}

std::vector<Statistics> shards(int64_t count) {
    std::vector<Statistics> all;
    for (int64_t i = 0; i < count; ++i) {
        Statistics s = sample();
        s.states.resize(1);
        s.states[0] = klm_state(static_cast<double>(i));
        s.shard = i;
        s.shards = count;
        s.seen = {digest(static_cast<uint8_t>(10 - i)), digest(20)};
        all.push_back(std::move(s));
    }
    return all;
}

TEST(MergedStatistics, AreTheWholeInAnyOrder) {
    auto parts = shards(3);
    std::swap(parts[0], parts[2]);
    const Statistics merged = merge_statistics(parts);
    EXPECT_EQ(merged.shard, 0);
    EXPECT_EQ(merged.shards, 1);
    EXPECT_EQ(merged.total, 40);
    EXPECT_EQ(merged.limit, 30);
    EXPECT_EQ(merged.started_with, (RunIdentity{{"net", "a \"b\""}})) << "of no shard";
    EXPECT_EQ(merged.seen, (std::vector{digest(8), digest(9), digest(10), digest(20)}));
    EXPECT_EQ(merged.states.at(0).array("sums").as<double>(), (std::vector<double>{3, 3, 0, 6}));
    EXPECT_EQ(merged.states.at(0).array("counts").as<int64_t>(), (std::vector<int64_t>{3, 6}));
}

std::string merge_refusal(std::vector<Statistics> parts) {
    return failure_of(ErrorKind::Usage, [&] { merge_statistics(std::move(parts)); });
}

TEST(MergedStatistics, WhatDiffersIsNamed) {
    using Change = std::function<void(Statistics&)>;
    const std::vector<std::pair<std::string, Change>> changes{
        {"the net", [](Statistics& s) { s.net = "b"; }},
        {"the weights' SHA-256", [](Statistics& s) { s.weights_sha256 = "b"; }},
        {"preprocessing", [](Statistics& s) { s.preprocess = "b"; }},
        {"the set: 'train=folder:/data/train' and 'b'", [](Statistics& s) { s.set = "b"; }},
        {"the set's images", [](Statistics& s) { s.total = 1; }},
        {"--limit: '30' and 'none'", [](Statistics& s) { s.limit.reset(); }},
        {"the number of shards", [](Statistics& s) { s.shards = 4; }},
        {"methods", [](Statistics& s) { s.states[0].options["by"] = "predicted"; }},
        {"methods", [](Statistics& s) { s.states.push_back(s.states[0]); }}};
    for (const auto& [what, change] : changes) {
        auto parts = shards(3);
        change(parts[1]);
        EXPECT_THAT(merge_refusal(parts), HasSubstr(what));
    }
    auto parts = shards(3);
    parts[1] = parts[0];
    EXPECT_THAT(merge_refusal(parts), HasSubstr("shard 0 is there twice"));
    parts = shards(3);
    parts.erase(parts.begin() + 1);
    EXPECT_THAT(merge_refusal(parts), HasSubstr("shard 1 of 3 is missing"));
    parts = shards(3);
    parts.pop_back();
    EXPECT_THAT(merge_refusal(parts), HasSubstr("shard 2 of 3 is missing"));
    EXPECT_THAT(merge_refusal({}), HasSubstr("none"));
}

class Store : public StatisticsFiles {
  protected:
    StatisticsStore store(const std::filesystem::path& fallback) const { return {fallback, own()}; }
    static Computation own() { return {std::string(64, 'a'), "resnet8-cifar", "centre crop 32"}; }
    static MethodSpec spec(const std::string& name) { return parse_methods(name).at(0); }
};

TEST_F(Store, FindsAStateAndKnowsItsImages) {
    StatisticsStore s = store(saved(sample()));
    EXPECT_FALSE(s.any_used());
    EXPECT_EQ(s.seen_in(digest(1)), nullptr) << "of no interest until a method reads the file";
    EXPECT_EQ(s.find(spec("klm"), "").array("sums").as<double>()[0], 3);
    EXPECT_EQ(s.find(spec("klm"), "", {{"by", "label"}}).method, "klm");
    EXPECT_TRUE(s.any_used());
    ASSERT_NE(s.seen_in(digest(9)), nullptr);
    EXPECT_EQ(*s.seen_in(digest(9)), folder_ / "s.safetensors");
    EXPECT_EQ(s.seen_in(digest(3)), nullptr);
}

TEST_F(Store, AFileThatAMethodNamesComesBeforeTheFallback) {
    Statistics other = sample();
    other.states[0] = klm_state(77);
    other.seen = {digest(50)};
    const auto path = saved(other, "other.safetensors");
    StatisticsStore s = store(saved(sample()));
    EXPECT_EQ(s.find(spec("klm"), path.string()).array("sums").as<double>()[0], 77);
    EXPECT_EQ(*s.seen_in(digest(50)), path);
    EXPECT_EQ(s.seen_in(digest(1)), nullptr);
}

TEST_F(Store, StatesMadeHereComeFirst) {
    StatisticsStore s = store({});
    s.add(klm_state(5));
    EXPECT_EQ(s.find(spec("klm"), "").array("sums").as<double>()[0], 5);
    EXPECT_FALSE(s.any_used());
}

TEST_F(Store, ChoosesByOptions) {
    Statistics two = sample();
    two.states[1] = klm_state(8, "predicted");
    StatisticsStore s = store(saved(two));
    EXPECT_EQ(s.find(spec("klm"), "", {{"by", "predicted"}}).array("sums").as<double>()[0], 8);
    EXPECT_EQ(s.find(spec("klm"), "", {{"by", "label"}}).array("sums").as<double>()[0], 3);
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { s.find(spec("klm"), ""); }),
                AllOf(HasSubstr("several fits answer 'klm'"), HasSubstr("klm:by=predicted:templates=fit")));
}

TEST_F(Store, RefusalsSayWhatIsWrong) {
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { store({}).find(spec("klm"), ""); }),
                AllOf(HasSubstr("'klm' needs a fit"), HasSubstr("--stats FILE")));
    const auto path = saved(sample());
    EXPECT_THAT(failure_of(ErrorKind::Usage, [&] { store(path).find(spec("nac"), ""); }),
                HasSubstr("no fit of nac; it holds klm:by=label:templates=fit, other"));
    EXPECT_THAT(failure_of(ErrorKind::Usage,
                           [&] {
                               store(path).find(spec("klm"), "", {{"by", "predicted"}});
                           }),
                HasSubstr("no fit of klm:by=predicted"));
    const auto refusal = [&](const Computation& other) {
        return failure_of(ErrorKind::Usage, [&] { StatisticsStore(path, other).find(spec("klm"), ""); });
    };
    Computation other = own();
    other.weights_sha256 = std::string(64, 'b');
    EXPECT_THAT(refusal(other), AllOf(HasSubstr(std::string(64, 'a')), HasSubstr(std::string(64, 'b'))));
    other = own();
    other.net = "resnet8-cifar (pool_window 5)";
    EXPECT_THAT(refusal(other), AllOf(HasSubstr("net 'resnet8-cifar'"), HasSubstr("'" + other.net + "'")));
    other = own();
    other.preprocess = "none";
    EXPECT_THAT(refusal(other), AllOf(HasSubstr("'centre crop 32'"), HasSubstr("'none'")));
    other = own();
    other.precision = "bf16";
    EXPECT_THAT(refusal(other), HasSubstr("--precision bf16"));
    EXPECT_THAT(failure_of(ErrorKind::Usage,
                           [&] { store(saved(shards(3)[1], "part.safetensors")).find(spec("klm"), ""); }),
                AllOf(HasSubstr("shard 1 of 3"), HasSubstr("gradscore merge")));
    EXPECT_THAT(failure_of(ErrorKind::Data, [&] { store(folder_ / "absent").find(spec("klm"), ""); }),
                HasSubstr("absent"));
}

}  // namespace
}  // namespace gs
