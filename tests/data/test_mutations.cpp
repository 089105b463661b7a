// The fuzz targets on their own seeds, on every prefix of them and with bytes changed, so that an ordinary
// test run exercises what the fuzzers do. A finding of theirs belongs into the corpus.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/files.h"
#include "data/image.h"
#include "tests/data/expected.h"
#include "tests/fuzz/image_set_target.h"

namespace gs::test {
namespace {

using Target = std::function<void(std::span<const uint8_t>)>;

// Calls the target with the seeds whole, cut off, and with single bytes changed: `budget` calls a seed.
void exercise(const std::string& corpus, size_t budget, const Target& target) {
    int seeds = 0;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(GS_SOURCE_DIR) /
                                                                 "tests/fuzz/corpus" / corpus)) {
        const auto content = read_file(entry.path(), ErrorKind::Data);
        std::vector<uint8_t> seed(content.size());
        std::transform(content.begin(), content.end(), seed.begin(),
                       [](std::byte b) { return static_cast<uint8_t>(b); });
        target(seed);
        const size_t step = std::max<size_t>(1, 2 * seed.size() / budget);
        for (size_t at = 0; at < seed.size(); at += at < 300 ? 1 : step) {
            target(std::span(seed).first(at));
            const uint8_t before = seed[at];
            seed[at] = static_cast<uint8_t>(at % 3 == 0 ? ~before : at % 3 == 1 ? before ^ 1 : 0xff);
            target(seed);
            seed[at] = before;
        }
        ++seeds;
    }
    EXPECT_GT(seeds, 1);
}

TEST(Mutations, Images) {
    exercise("image", 1000, [](std::span<const uint8_t> content) {
        try {
            const Image image = decode_image(std::as_bytes(content), {.max_pixels = 1 << 18});
            ASSERT_EQ(image.rgb.size(), static_cast<size_t>(image.width * image.height * 3));
        } catch (const Error& error) {
            ASSERT_EQ(error.kind(), ErrorKind::Data) << error.what();
        }
    });
}

TEST(Mutations, Cifar) {
    exercise("cifar10_set", 300, [](auto content) { open_and_read("cifar10", content, ""); });
}

TEST(Mutations, Svhn) {
    exercise("svhn_set", 300, [](auto content) { open_and_read("svhn", content, ".mat"); });
}

TEST(Mutations, Npy) {
    exercise("npy_set", 300, [](auto content) { open_and_read("npy", content, ".npy"); });
}

TEST(Mutations, Lists) {
    exercise("list_set", 300, [](auto content) { open_and_read("list", content, ".txt", true); });
}

}  // namespace
}  // namespace gs::test
