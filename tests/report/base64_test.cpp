#include "report/base64.h"

#include <gtest/gtest.h>

namespace gs {
namespace {

std::string of(std::string_view text) {
    return base64(std::as_bytes(std::span(text)));
}

// RFC 4648, section 10.
TEST(Base64, TheStandardsExamples) {
    EXPECT_EQ(of(""), "");
    EXPECT_EQ(of("f"), "Zg==");
    EXPECT_EQ(of("fo"), "Zm8=");
    EXPECT_EQ(of("foo"), "Zm9v");
    EXPECT_EQ(of("foob"), "Zm9vYg==");
    EXPECT_EQ(of("foobar"), "Zm9vYmFy");
    EXPECT_EQ(of("\xff\xfe\xfd"), "//79");
}

TEST(Base64, Sha256AsBytes) {
    EXPECT_EQ(base64(sha256_of("")), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

}  // namespace
}  // namespace gs
