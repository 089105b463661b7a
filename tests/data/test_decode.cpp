// Decoding against Pillow: which files are good, and every pixel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "tests/data/expected.h"
#include "tests/support/failure.h"
#include "tests/support/shared_dir.h"

namespace gs::test {
namespace {

using testing::HasSubstr;

std::vector<std::byte> file(const std::string& name) {
    return read_file(data_dir() / "images" / name, ErrorKind::Data);
}

std::string message_of(std::span<const std::byte> bytes, const DecodeLimits& limits = {}) {
    return failure_of(ErrorKind::Data, [&] { decode_image(bytes, limits); });
}

TEST(Decode, Case10_EqualsPillow) {
    const auto rows = cases("decode");
    ASSERT_GT(rows.size(), 45u);
    for (const auto& row : rows)
        EXPECT_EQ(decode_result(data_dir() / "images" / row[1]), (Result{row[2], row[3]})) << row[1];
}

// jpeg-odd (used exactly where Pillow reads it), dtd, imagenet-sample and the golden images.
TEST(Decode, EqualsPillowOnSharedImages) {
    const auto shared = shared_dir();
    if (!shared) GTEST_SKIP() << "no ../shared";
    const auto rows = read_table("expected_shared.tsv");
    ASSERT_GT(rows.size(), 500u);
    for (const auto& row : rows)
        EXPECT_EQ(decode_result(*shared / row[0]), (Result{row[1], row[2]})) << row[0];
}

// The manifest that comes with the files says the same as our table.
TEST(Decode, JpegOddManifest) {
    const auto shared = shared_dir();
    if (!shared) GTEST_SKIP() << "no ../shared";
    std::ifstream manifest(*shared / "data/jpeg-odd/MANIFEST.tsv");
    std::string line;
    std::getline(manifest, line);
    int good = 0, bad = 0;
    while (std::getline(manifest, line)) {
        const std::string name = line.substr(0, line.find('\t')), verdict = line.substr(line.rfind('\t') + 1);
        const bool reads = decode_result(*shared / "data/jpeg-odd" / name).size != "fail";
        EXPECT_EQ(reads, verdict == "ok") << name << ": " << verdict;
        ++(reads ? good : bad);
    }
    EXPECT_GT(good, 50);
    EXPECT_GT(bad, 50);
}

TEST(Decode, SaysWhatIsWrong) {
    EXPECT_THAT(message_of({}), HasSubstr("empty"));
    EXPECT_THAT(message_of(std::as_bytes(std::span("GIF89a"))),
                HasSubstr("neither a JPEG nor a PNG (a GIF; convert it to PNG)"));
    EXPECT_THAT(message_of(std::as_bytes(std::span("MM\0*"))), HasSubstr("a TIFF"));
    EXPECT_THAT(message_of(std::as_bytes(std::span("RIFF\1\1\1\1WEBPVP8 "))), HasSubstr("a WebP"));
    EXPECT_THAT(message_of(std::as_bytes(std::span("BM\1\1\1\1\0\0\0\0"))), HasSubstr("a BMP"));
    for (const std::string_view other : {"R", "RIFF", "RIFF\1\1\1\1WAVEfmt ", "BMW and others"})
        EXPECT_THAT(message_of(std::as_bytes(std::span(other))), HasSubstr("unknown first bytes"));
    EXPECT_THAT(message_of(file("jpeg_truncated.jpg")), HasSubstr("truncated JPEG"));
    EXPECT_THAT(message_of(file("png_truncated.png")), HasSubstr("broken PNG"));
    EXPECT_THAT(message_of(file("png_bad_ihdr_crc.png")), HasSubstr("IHDR"));
    EXPECT_THAT(message_of(file("jpeg_420.jpg"), {.max_pixels = 83 * 61 - 1}),
                HasSubstr("83x61 pixels, more than"));
    EXPECT_THAT(message_of(file("png_c2_d8.png"), {.max_pixels = 19 * 11 - 1}), HasSubstr("--max-pixels"));
    EXPECT_EQ(message_of(file("png_c2_d8.png"), {.max_pixels = 19 * 11}), "no error");
}

// A JPEG that claims 65500x65500 pixels is refused before any memory is asked for.
TEST(Decode, Case10_AbsurdSizes) {
    auto bytes = file("jpeg_progressive.jpg");
    const std::byte sof[] = {std::byte{0xff}, std::byte{0xc2}};
    const auto at = std::search(bytes.begin(), bytes.end(), std::begin(sof), std::end(sof));
    ASSERT_NE(at, bytes.end());
    for (int i : {5, 6, 7, 8}) at[i] = std::byte{0xff};
    at[6] = at[8] = std::byte{0xdc};
    EXPECT_THAT(message_of(bytes), HasSubstr("65500x65500 pixels"));
}

// Thousands of scans over a large image: each costs a pass over the image, so that 100 KB could take minutes.
TEST(Decode, ManyScansEnd) {
    const auto bytes = file("jpeg_progressive.jpg");
    const auto find = [&](uint8_t marker, size_t from) {
        while (!(bytes[from] == std::byte{0xff} && bytes[from + 1] == std::byte{marker})) ++from;
        return from;
    };
    const size_t sof = find(0xc2, 0), scan = find(0xda, 0);
    std::vector<std::byte> many(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(scan));
    for (size_t i : {5u, 7u}) many[sof + i] = std::byte{0x0f};  // about 3,900 x 3,900
    const size_t header =
        2 + static_cast<size_t>(bytes[scan + 2]) * 256 + static_cast<size_t>(bytes[scan + 3]);
    for (int i = 0; i < 20'000; ++i)
        many.insert(many.end(), bytes.begin() + static_cast<ptrdiff_t>(scan),
                    bytes.begin() + static_cast<ptrdiff_t>(scan + header));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_THAT(message_of(many), HasSubstr("too many scans"));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(120));
}

}  // namespace
}  // namespace gs::test
