#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "core/files.h"
#include "core/npy.h"
#include "tests/support/failure.h"

namespace gs::npy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string file(const std::string& header, const std::string& data, int version = 1) {
    std::string text = "\x93NUMPY";
    text += {static_cast<char>(version), '\0', static_cast<char>(header.size() & 255),
             static_cast<char>(header.size() >> 8)};
    if (version > 1) text += {'\0', '\0'};
    return text + header + data;
}
std::string header(const std::string& descr, const std::string& order, const std::string& shape) {
    return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }   \n";
}
Array parse_text(const std::string& text) {
    return parse(std::as_bytes(std::span(text)), "a.npy", ErrorKind::Data);
}
std::string error_of(const std::string& text) {
    return test::failure_of(ErrorKind::Data, [&] { parse_text(text); });
}
std::vector<int> small(const Array& array) {
    std::vector<int> values;
    for (const std::byte b : to_native(array)) values.push_back(std::to_integer<int>(b));
    return values;
}

TEST(Npy, ShapesTypesAndVersions) {
    for (int version = 1; version <= 3; ++version) {
        const std::string text = file(header("<f4", "False", "(2, 3)"), std::string(24, 'x'), version);
        const Array array = parse_text(text);
        EXPECT_EQ(array.type, Type::F4);
        EXPECT_THAT(array.shape, ElementsAre(2, 3));
        EXPECT_EQ(array.elements(), 6);
        EXPECT_FALSE(array.fortran);
    }
    EXPECT_THAT(parse_text(file(header("|b1", "False", "()"), "x")).shape, ElementsAre());
    EXPECT_THAT(parse_text(file(header("|u1", "False", "(3L,)"), "abc")).shape, ElementsAre(3));
    EXPECT_EQ(parse_text(file(header("<i8", "True", "(0, 5)"), "")).elements(), 0);
    EXPECT_EQ(parse_text(file("{'shape': (2,), 'descr': '|i1', 'fortran_order': False}", "ab")).elements(),
              2);
    for (const std::string type : {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}) {
        const auto width = static_cast<size_t>(type[1] - '0');
        EXPECT_EQ(
            to_string(
                parse_text(file(header("<" + type, "False", "(2,)"), std::string(2 * width, 'x'))).type),
            type);
    }
}

TEST(Npy, ToNativeResolvesOrderAndEndianness) {
    const std::string c = file(header("|u1", "False", "(2, 3)"), "\1\2\3\4\5\6");
    EXPECT_THAT(small(parse_text(c)), ElementsAre(1, 2, 3, 4, 5, 6));
    const std::string f = file(header("|u1", "True", "(2, 3)"), "\1\4\2\5\3\6");
    EXPECT_THAT(small(parse_text(f)), ElementsAre(1, 2, 3, 4, 5, 6));
    // a[i,j,k] = 4i + 2j + k over (2, 2, 2): column-major is 0 4 2 6 1 5 3 7.
    const std::string f3 =
        file(header(">u2", "True", "(2, 2, 2)"), std::string("\0\0\0\4\0\2\0\6\0\1\0\5\0\3\0\7", 16));
    EXPECT_THAT(small(parse_text(f3)), ElementsAre(0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0));
}

TEST(Npy, Refusals) {
    EXPECT_THAT(error_of("PNG"), HasSubstr("a.npy: not an .npy file"));
    EXPECT_THAT(error_of(file(header("|O", "False", "(1,)"), "x")),
                HasSubstr("refused: an .npy array of Python objects"));
    EXPECT_THAT(error_of(file(header("<U8", "False", "(1,)"), "x")),
                HasSubstr("type '<U8' is not supported"));
    EXPECT_THAT(error_of(file(header("f4", "False", "(1,)"), "x")), HasSubstr("type 'f4' is not supported"));
    EXPECT_THAT(error_of(file(header("<c8", "False", "(1,)"), "x")), HasSubstr("not supported"));
    EXPECT_THAT(error_of(file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", "")),
                HasSubstr("structured"));
    EXPECT_THAT(error_of(file(header("<f4", "False", "(2,)"), "x")),
                HasSubstr("needs 8 bytes, the file holds 1 (trunc"));
    EXPECT_THAT(error_of(file(header("<f4", "False", "(1,)"), "xxxxx")),
                HasSubstr("needs 4 bytes, the file holds 5"));
    EXPECT_THAT(error_of(file(header("<f4", "False", "(4294967296, 4294967296)"), "")),
                HasSubstr("overflows"));
    EXPECT_THAT(error_of(file(header("<f4", "False", "(99999999999999999999,)"), "")),
                HasSubstr("no number"));
    EXPECT_THAT(error_of(file(header("<f4", "False", "(-1,)"), "")), HasSubstr("no number"));
    EXPECT_THAT(error_of(file(header("<f4", "Maybe", "(1,)"), "")), HasSubstr("neither True nor False"));
    EXPECT_THAT(error_of(file("{'descr': '<f4', 'descr': '<f4'}", "")), HasSubstr("twice"));
    EXPECT_THAT(error_of(file("{'descr': '<f4', 'shape': (1,)}", "xxxx")), HasSubstr("missing"));
    EXPECT_THAT(error_of(file(header("<f4", "False", "(1,)") + "x", "xxxx")), HasSubstr("closing brace"));
    EXPECT_THAT(error_of(file(header("<f4", "False", "(1,)"), "xxxx", 9)), HasSubstr("version 9"));
}

TEST(Npy, TruncationAndMutationNeverCrash) {
    const std::string good = file(header("<f4", "True", "(2, 3)"), std::string(24, 'x'));
    for (size_t length = 0; length < good.size(); ++length)
        EXPECT_NE(error_of(good.substr(0, length)), "no error") << length;
    for (size_t i = 0; i < good.size(); ++i)
        for (int value = 0; value < 256; ++value) {
            std::string mutated = good;
            mutated[i] = static_cast<char>(value);
            try {
                to_native(parse_text(mutated));
            } catch (const Error&) {
            }
        }
}

TEST(Npy, FuzzSeedsAreRead) {
    int seeds = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(std::string(GS_SOURCE_DIR) + "/tests/fuzz/corpus/npy")) {
        const std::vector<std::byte> bytes = read_file(entry.path(), ErrorKind::Internal);
        const Array array = parse(bytes, entry.path().string(), ErrorKind::Data);
        EXPECT_EQ(to_native(array).size(),
                  static_cast<size_t>(array.elements()) * bytes_per_element(array.type));
        ++seeds;
    }
    EXPECT_GE(seeds, 4);
}

}  // namespace
}  // namespace gs::npy
