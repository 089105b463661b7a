#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <filesystem>
#include <string>

#include "core/files.h"
#include "core/pickle.h"
#include "tests/support/failure.h"

namespace gs::pickle {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;

bool allow_collections(std::string_view name) {
    return name.starts_with("collections.");
}

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

// The values point into the pickle, so it is kept.
Parsed parse_text(const std::string& text) {
    static std::deque<std::string> kept;
    return parse(bytes_of(kept.emplace_back(text)), allow_collections, "test.pkl", ErrorKind::Weights);
}

std::string error_of(const std::string& text, const Limits& limits = {}) {
    return test::failure_of(ErrorKind::Weights, [&] {
        parse(bytes_of(text), allow_collections, "test.pkl", ErrorKind::Weights, limits);
    });
}

template <class T>
T only(const std::string& text) {
    const Parsed parsed = parse_text(text);
    const T* value = parsed.value->as<T>();
    EXPECT_NE(value, nullptr);
    return value == nullptr ? T{} : *value;
}

TEST(Pickle, Numbers) {
    EXPECT_EQ(only<int64_t>("I-42\n."), -42);
    EXPECT_EQ(only<bool>("I01\n."), true);
    EXPECT_EQ(only<bool>("I00\n."), false);
    EXPECT_EQ(only<bool>("\x88."), true);
    EXPECT_EQ(only<bool>("\x89."), false);
    EXPECT_EQ(only<int64_t>("K\xff."), 255);
    EXPECT_EQ(only<int64_t>("M\x00\x01."s), 256);
    EXPECT_EQ(only<int64_t>("J\xff\xff\xff\xff."), -1);
    EXPECT_EQ(only<int64_t>("L9223372036854775807L\n."), INT64_MAX);
    EXPECT_EQ(only<int64_t>("\x8a\x00."s), 0);
    EXPECT_EQ(only<int64_t>("\x8a\x01\xfe."), -2);
    EXPECT_EQ(only<int64_t>("\x8a\x02\xff\x00."s), 255);
    EXPECT_EQ(only<int64_t>("\x8b\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80."s), INT64_MIN);
    EXPECT_EQ(only<double>("F-1.5e3\n."), -1500.0);
    EXPECT_EQ(only<double>("Finf\n."), HUGE_VAL);
    EXPECT_EQ(only<double>("G\x3f\xf8\x00\x00\x00\x00\x00\x00."s), 1.5);
    EXPECT_EQ(only<int64_t>("L-9223372036854775808L\n."), INT64_MIN);
    EXPECT_TRUE(only<BigInt>("L9223372036854775808L\n.").bytes.empty());
    EXPECT_THAT(error_of("I9223372036854775808\n."), HasSubstr("no number that 64 bits hold"));
    EXPECT_THAT(error_of("L9223372036854775808x\n."), HasSubstr("no number that 64 bits hold"));
    EXPECT_THAT(error_of("L-\n."), HasSubstr("no number"));
    EXPECT_THAT(error_of("I12x\n."), HasSubstr("'12x' is no number"));
    EXPECT_THAT(error_of("\x8b\xff\xff\xff\xff."), HasSubstr("negative length"));
}

TEST(Pickle, IntegersBeyond64BitsKeepTheirBytes) {
    const std::string magic = "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.";
    const Parsed parsed = parse_text(magic);
    ASSERT_NE(parsed.value->as<BigInt>(), nullptr);
    EXPECT_EQ(parsed.value->as<BigInt>()->bytes.size(), 10u);
    EXPECT_EQ(parsed.consumed, magic.size());
}

TEST(Pickle, Strings) {
    EXPECT_EQ(text(*parse_text("X\x03\x00\x00\x00"s + "abc.").value), "abc");
    EXPECT_EQ(text(*parse_text("\x8c\x02\xc3\xa9.").value), "\xc3\xa9");
    EXPECT_EQ(text(*parse_text("\x8d\x01\x00\x00\x00\x00\x00\x00\x00z."s).value), "z");
    EXPECT_EQ(text(*parse_text("Va\\u00e9\xe9\\U0001F600b\n.").value),
              "a\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80"
              "b");
    EXPECT_EQ(text(*parse_text("S'a\\'\\n\\x41\\101\\q'\n.").value), "a'\nAA\\q");
    EXPECT_EQ(text(*parse_text("S\"a'b\"\n.").value), "a'b");
    EXPECT_EQ(text(*parse_text("U\x02hi.").value), "hi");
    EXPECT_EQ(text(*parse_text("T\x02\x00\x00\x00hi."s).value), "hi");
    EXPECT_EQ(only<Bytes>("C\x01\xff.").bytes.size(), 1u);
    EXPECT_EQ(only<Bytes>("\x96\x01\x00\x00\x00\x00\x00\x00\x00\xff."s).bytes.size(), 1u);
    EXPECT_EQ(text(*parse_text("K\x01.").value), std::nullopt);
    EXPECT_THAT(error_of("\x8c\x01\xff."), HasSubstr("not UTF-8"));
    EXPECT_THAT(error_of("\x8c\x03\xed\xa0\x80."), HasSubstr("not UTF-8"));
    EXPECT_THAT(error_of("V\\ud800\n."), HasSubstr("escape"));
    EXPECT_THAT(error_of("V\\u12\n."), HasSubstr("escape"));
    EXPECT_THAT(error_of("S'abc\n."), HasSubstr("string literal"));
    EXPECT_THAT(error_of("S'\\x4'\n."), HasSubstr("string literal"));
    EXPECT_THAT(error_of("T\xff\xff\xff\xff."), HasSubstr("negative length"));
}

TEST(Pickle, Containers) {
    const Parsed parsed = parse_text(
        "}(\x8c\x01"
        "aK\x01\x8c\x01"
        "b](K\x02K\x03"
        "eu\x8c\x01"
        "aK\x05s.");
    const Dict* dict = parsed.value->as<Dict>();
    ASSERT_NE(dict, nullptr);
    ASSERT_EQ(dict->items.size(), 3u);  // duplicates are kept, the last one is found
    EXPECT_EQ(*find(*parsed.value, "a")->as<int64_t>(), 5);
    EXPECT_EQ(find(*parsed.value, "b")->as<List>()->items.size(), 2u);
    EXPECT_EQ(find(*parsed.value, "c"), nullptr);
    EXPECT_EQ(only<List>("(K\x01K\x02K\x03t.").items.size(), 3u);
    EXPECT_EQ(only<List>("K\x01K\x02\x86.").items.size(), 2u);
    EXPECT_EQ(only<List>("K\x01K\x02K\x03\x87.").items.size(), 3u);
    EXPECT_EQ(only<List>("\x8f(K\x01K\x02\x90.").items.size(), 2u);
    EXPECT_EQ(only<List>("(K\x01\x91.").items.size(), 1u);
    EXPECT_EQ(only<Dict>("(K\x01K\x02"
                         "d.")
                  .items.size(),
              1u);
    EXPECT_THAT(error_of("(K\x01"
                         "d."),
                HasSubstr("key without a value"));
    EXPECT_THAT(error_of("K\x01K\x02"
                         "a."),
                HasSubstr("no list"));
    EXPECT_THAT(error_of("](K\x01K\x02u."), HasSubstr("no dict"));
}

TEST(Pickle, CallsAreOnlyRecorded) {
    const Parsed parsed = parse_text("ccollections\nOrderedDict\n)R(\x8c\x01kK\x07u}\x8c\x01sK\x01sb.");
    const Call* call = parsed.value->as<Call>();
    ASSERT_NE(call, nullptr);
    EXPECT_EQ(call->callee, "collections.OrderedDict");
    EXPECT_TRUE(call->arguments->as<List>()->items.empty());
    EXPECT_EQ(call->set.items.size(), 1u);
    ASSERT_NE(call->state, nullptr);
    EXPECT_EQ(call->state->as<Dict>()->items.size(), 1u);

    for (const std::string& form :
         {"\x8c\x0b"
          "collections\x8c\x01X\x93K\x01\x85\x81."s,
          "(K\x01icollections\nX\n."s, "(ccollections\nX\nK\x01o."s, "ccollections\nX\nK\x01\x85}\x92."s}) {
        const Parsed made = parse_text(form);
        ASSERT_NE(made.value->as<Call>(), nullptr) << form;
        EXPECT_EQ(made.value->as<Call>()->callee, "collections.X");
        EXPECT_EQ(made.value->as<Call>()->arguments->as<List>()->items.size(), 1u);
    }
}

TEST(Pickle, PersistentIds) {
    const Parsed parsed = parse_text("\x8c\x07storageK\x01\x86Q.");
    ASSERT_NE(parsed.value->as<PersistentId>(), nullptr);
    EXPECT_EQ(parsed.value->as<PersistentId>()->id->as<List>()->items.size(), 2u);
    EXPECT_EQ(text(*parse_text("Pabc\n.").value->as<PersistentId>()->id), "abc");
}

TEST(Pickle, Case02_ForeignGlobalsAreNamed) {
    EXPECT_THAT(error_of("cos\nsystem\n(S'ls'\ntR."),
                HasSubstr("test.pkl: refused: the pickle names os.system,"));
    EXPECT_THAT(error_of("\x8c\x02os\x8c\x06system\x93."), HasSubstr("names os.system,"));
    EXPECT_THAT(error_of("S'os'\nS'system'\n\x93."), HasSubstr("names os.system,"));
    EXPECT_THAT(error_of("(K\x01ios\nsystem\n."), HasSubstr("names os.system,"));
    EXPECT_THAT(error_of("\x8c\x02osp5\n0\x8c\x06systemq\x06"
                         "0g5\nh\x06\x93."),
                HasSubstr("names os.system,"));
    EXPECT_THAT(error_of("c\x1b[2Jos\nsystem\n."), HasSubstr("names \\x1b[2Jos.system,"));
    EXPECT_THAT(error_of("\x82\x01."), HasSubstr("refused: the pickle names a registered extension"));
}

TEST(Pickle, MalformedPickles) {
    EXPECT_THAT(error_of(""), HasSubstr("at byte 0: truncated"));
    EXPECT_THAT(error_of("K\x01"), HasSubstr("at byte 2: truncated"));
    EXPECT_THAT(error_of("."), HasSubstr("stack is empty"));
    EXPECT_THAT(error_of("(0."), HasSubstr("stack is empty"));
    EXPECT_THAT(error_of("K\x01("
                         "a."),
                HasSubstr("stack is empty"));  // nothing is taken from below a mark
    EXPECT_THAT(error_of("t."), HasSubstr("no mark"));
    EXPECT_THAT(error_of("h\x05."), HasSubstr("memo 5 was never stored"));
    EXPECT_THAT(error_of("g-1\n."), HasSubstr("no number"));
    EXPECT_THAT(error_of("\x80\x09K\x01."), HasSubstr("protocol 9"));
    EXPECT_THAT(error_of("\xff."), HasSubstr("unknown opcode 255"));
    EXPECT_THAT(error_of("\x97."), HasSubstr("out-of-band"));
    EXPECT_THAT(error_of("K\x01K\x01\x93."), HasSubstr("name is no string"));
    EXPECT_THAT(error_of("K\x01)R."), HasSubstr("no global"));
    EXPECT_THAT(error_of("ccollections\nX\nK\x01R."), HasSubstr("no tuple"));
    EXPECT_THAT(error_of("K\x01K\x01"
                         "b."),
                HasSubstr("no object"));
    EXPECT_THAT(error_of("ccollections\nX\n)R}b}b."), HasSubstr("second state"));
    EXPECT_THAT(error_of("ccollections\nX\n)K\x01\x92."), HasSubstr("keyword arguments"));
    EXPECT_THAT(error_of("(o."), HasSubstr("without a class"));
    EXPECT_THAT(error_of("X\xff\xff\xff\xff"
                         "abc."),
                HasSubstr("truncated"));
    EXPECT_THAT(error_of("\x8e\xff\xff\xff\xff\xff\xff\xff\xff"
                         "abc."),
                HasSubstr("truncated"));
    EXPECT_THAT(error_of("\x95\xff\xff\xff\xff\xff\xff\xff\xff"
                         "K\x01."),
                HasSubstr("truncated"));
}

TEST(Pickle, Case02_CyclesAndDepthAreRefusedWithoutRecursion) {
    EXPECT_THAT(error_of("]q\x00h\x00"
                         "a."s),
                HasSubstr("contains itself"));
    EXPECT_THAT(error_of("]q\x00]q\x01h\x00"
                         "ah\x01"
                         "a."s),
                HasSubstr("contains itself"));
    EXPECT_THAT(error_of("ccollections\nX\n)Rq\x00h\x00"
                         "b."s),
                HasSubstr("contains itself"));
    std::string deep = ")";
    for (int i = 0; i < 1'000'000; ++i) deep += "\x85";
    EXPECT_THAT(error_of(deep + "."), HasSubstr("nested more than 200 deep"));
    EXPECT_EQ(error_of(std::string(")") + std::string(200, '\x85') + "."), "no error");
    EXPECT_THAT(error_of(std::string(")") + std::string(201, '\x85') + "."), HasSubstr("nested more than"));
}

// Each level holds the one before twice: 2^150 paths, 150 objects.
TEST(Pickle, SharedValuesCostNothing) {
    std::string bomb = ")";
    for (int i = 0; i < 150; ++i) bomb += "2\x86";
    const Parsed parsed = parse_text(bomb + ".");
    EXPECT_EQ(parsed.values.size(), 151u);
}

TEST(Pickle, Case02_LimitsBindObjectsAndStack) {
    Limits limits;
    limits.max_objects = 100;
    EXPECT_THAT(error_of(std::string(200, 'N') + ".", limits), HasSubstr("too many objects"));
    EXPECT_THAT(error_of("N" + std::string(200, '2') + ".", limits),
                HasSubstr("too many values on the stack"));
    EXPECT_EQ(error_of(std::string(50, 'N') + ".", limits), "no error");
    EXPECT_THAT(error_of("Np1\n" + std::string(50, '(') + ".", limits),
                HasSubstr("empty"));  // marks hold no values
    EXPECT_THAT(error_of("N" + std::string(200, '(') + ".", limits), HasSubstr("too many marks"));
    std::string memo = "N";
    for (int i = 0; i < 200; ++i) memo += "p" + std::to_string(1'000'000 * i) + "\n";
    EXPECT_THAT(error_of(memo + ".", limits), HasSubstr("too many memo entries"));
}

TEST(Pickle, TruncationAndMutationNeverCrash) {
    const std::string good =
        "\x80\x02}q\x00(X\x01\x00\x00\x00"
        "aq\x01"
        "ccollections\nOrderedDict\nq\x02)Rq\x03(X\x01\x00\x00\x00"
        "bq\x04K\x01"
        "X\x01\x00\x00\x00"
        "cq\x05](K\x01G\x3f\xf8\x00\x00\x00\x00\x00\x00"
        "eu}X\x01\x00\x00\x00sNsbX\x02\x00\x00\x00zz"
        "X\x01\x00\x00\x00"
        "d\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19\x86Qu."s;
    ASSERT_EQ(error_of(good), "no error");
    for (size_t length = 0; length < good.size(); ++length)
        EXPECT_NE(error_of(good.substr(0, length)), "no error") << length;
    for (size_t i = 0; i < good.size(); ++i)
        for (int value = 0; value < 256; ++value) {
            std::string mutated = good;
            mutated[i] = static_cast<char>(value);
            error_of(mutated);
        }
}

// The seeds of fuzz_pickle: real pickles of every protocol, cut and changed everywhere.
TEST(Pickle, FuzzSeedsAreReadAndSurviveMutation) {
    int seeds = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::string(GS_SOURCE_DIR) + "/tests/fuzz/corpus/pickle")) {
        const std::vector<std::byte> bytes = read_file(entry.path(), ErrorKind::Internal);
        const std::string good(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        const auto parse_all = [](const std::string& text) {
            try {
                return parse(
                           bytes_of(text), [](auto) { return true; }, "x", ErrorKind::Data)
                    .consumed;
            } catch (const Error&) {
                return size_t{0};
            }
        };
        EXPECT_EQ(parse_all(good), good.size()) << entry.path();
        for (size_t i = 0; i < good.size(); ++i) {
            EXPECT_EQ(parse_all(good.substr(0, i)), 0u) << entry.path() << " cut to " << i;
            for (const int flip : {0x01, 0x80, 0xFF}) {
                std::string changed = good;
                changed[i] = static_cast<char>(changed[i] ^ flip);
                parse_all(changed);
            }
        }
        ++seeds;
    }
    EXPECT_GE(seeds, 12);
}

}  // namespace
}  // namespace gs::pickle
