#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "core/toml.h"
#include "tests/support/failure.h"

namespace gs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> values(const std::string& value) {
    const auto entries = read_toml("[t]\nk = " + value + "\n", "f");
    EXPECT_EQ(entries.size(), 1u);
    return entries.at(0).values;
}

std::string error_of(const std::string& text) {
    return test::failure_of(ErrorKind::Usage, [&] { read_toml(text, "f.toml"); });
}

TEST(Toml, Values) {
    EXPECT_THAT(values("12"), ElementsAre("12"));
    EXPECT_THAT(values("-0.5e-3 # comment"), ElementsAre("-0.5e-3"));
    EXPECT_EQ(read_toml("\xef\xbb\xbf"
                        "a = 1",
                        "f")
                  .at(0)
                  .key,
              "a");
    EXPECT_THAT(values("true"), ElementsAre("true"));
    EXPECT_THAT(values("\"a b # c\""), ElementsAre("a b # c"));
    EXPECT_THAT(values("'C:\\x'"), ElementsAre("C:\\x"));
    EXPECT_THAT(values(R"("\"\\\t\n\u00e9\u20AC\u0001")"), ElementsAre("\"\\\t\n\xc3\xa9\xe2\x82\xac\x01"));
    EXPECT_THAT(values("[]"), IsEmpty());
    EXPECT_THAT(values("[1, 'b',\n # more\n \"c\"\n,]"), ElementsAre("1", "b", "c"));
}

TEST(Toml, TablesAndLines) {
    const auto entries = read_toml("a=1\n#x\n[t-1]\r\n b_c = [\n2]\nd='3'", "f");
    ASSERT_EQ(entries.size(), 3u);
    EXPECT_EQ(entries[0].table, "");
    EXPECT_FALSE(entries[0].array);
    EXPECT_EQ(entries[1].table, "t-1");
    EXPECT_EQ(entries[1].key, "b_c");
    EXPECT_TRUE(entries[1].array);
    EXPECT_EQ(entries[1].line, 4);
    EXPECT_EQ(entries[2].line, 6);
    EXPECT_THAT(read_toml("", "f"), IsEmpty());
    EXPECT_THAT(read_toml("# only this", "f"), IsEmpty());
}

TEST(Toml, EveryByteComesBack) {
    std::string all;
    for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
    EXPECT_THAT(values(toml_string(all)), ElementsAre(all));
    EXPECT_EQ(toml_string("a\"b\\c\n"), R"("a\"b\\c\u000a")");
}

TEST(Toml, FaultsNameTheirLine) {
    EXPECT_THAT(error_of("a = 1\nb 2\n"), HasSubstr("f.toml:2: 'b' needs ="));
    EXPECT_THAT(error_of("a =\n"), HasSubstr("a value is needed"));
    EXPECT_THAT(error_of("a = b\n"), HasSubstr("quotes"));
    EXPECT_THAT(error_of("a = \"b\n"), HasSubstr("closing"));
    EXPECT_THAT(error_of("a = 'b"), HasSubstr("closing"));
    EXPECT_THAT(error_of("a = \"\\x\"\n"), HasSubstr("escape"));
    EXPECT_THAT(error_of("a = \"\\u12\"\n"), HasSubstr("hexadecimal"));
    EXPECT_THAT(error_of("a = 1 2\n"), HasSubstr("after the value"));
    EXPECT_THAT(error_of("a = [1 2]\n"), HasSubstr("an array needs"));
    EXPECT_THAT(error_of("a = [1,\n2"), HasSubstr("f.toml:2: an array needs"));
    EXPECT_THAT(error_of("a = [1,\n"), HasSubstr("a value is needed"));
    EXPECT_THAT(error_of("[t\na=1\n"), HasSubstr("needs its ]"));
    EXPECT_THAT(error_of("[t]\na=1\n[t]\na=2\n"), HasSubstr("f.toml:4: 'a' stands twice"));
    EXPECT_THAT(error_of("= 1\n"), HasSubstr("a name is needed"));
}

// Any text is read or refused, never looped over or read beyond its end.
TEST(Toml, TruncatedAnywhere) {
    const std::string text = "# c\n[t]\na = [1, \"b\\u00e9\", 'c'] # x\nd = true\n";
    for (size_t n = 0; n <= text.size(); ++n) {
        try {
            read_toml(std::string_view(text).substr(0, n), "f");
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Usage);
        }
    }
}

}  // namespace
}  // namespace gs
