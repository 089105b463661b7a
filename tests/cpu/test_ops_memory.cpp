// Memory of a backend.
#include <gtest/gtest.h>

#include "tests/support/maps.h"

namespace gs::test {
namespace {

TEST(Memory, IsAlignedAndOfTheAskedSize) {
    on_every_backend([](Backend& backend) {
        for (const size_t bytes : {1, 63, 64, 65, 4096, 1 << 20}) {
            const Buffer buffer = backend.allocate(bytes);
            EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
            EXPECT_GE(buffer.bytes(), bytes);
        }
    });
}

TEST(Memory, UploadAndDownloadKeepEveryBit) {
    auto values = random_values(1037, Fill::Normal, 1);
    values[3] = -0.0f;
    values[4] = std::numeric_limits<float>::quiet_NaN();
    values[5] = std::numeric_limits<float>::denorm_min();
    on_every_backend([&](Backend& backend) {
        const Buffer buffer = backend.upload(values);
        std::vector<float> back(values.size());
        backend.download(buffer.view({1, 1, 1, 1037}), back);
        expect_same_bits("all", back, values);
        std::vector<float> part(10);
        backend.download(buffer.view({1, 1, 1, 10}, 64 * sizeof(float)), part);
        expect_same_bits("part", part, {values.begin() + 64, values.begin() + 74});
    });
}

// Values that were announced are those of the moment; of any other upload they are what they are then.
TEST(Memory, AnAnnouncedUploadIsTheNextOneAlone) {
    on_every_backend_and_default([](Backend& backend) {
        // Large enough for several threads.
        std::vector<float> a = random_values(5 << 20, Fill::Normal, 1),
                           b = random_values(5 << 20, Fill::Normal, 2);
        const Buffer buffer = backend.allocate(a.size() * sizeof(float));
        const auto uploaded = [&](std::span<const float> values) {
            backend.upload(values, buffer.view({1, 1, 1, std::ssize(values)}));
            std::vector<float> there(values.size());
            backend.download(buffer.view({1, 1, 1, std::ssize(values)}), there);
            return there;
        };
        for (int time = 0; time < 3; ++time) {
            backend.announce_upload(a);
            EXPECT_TRUE(uploaded(a) == a);
            backend.announce_upload(b);
            EXPECT_TRUE(uploaded(b) == b);
        }
        backend.announce_upload(a);
        EXPECT_TRUE(uploaded(b) == b);
        a[0] += 1;  // no longer announced
        EXPECT_TRUE(uploaded(a) == a);
        backend.announce_upload(a);
        backend.announce_upload(b);
        a.back() += 1;
        EXPECT_TRUE(uploaded(a) == a);
        backend.announce_upload(a);
        backend.announce_upload({});
        a[1] += 1;
        EXPECT_TRUE(uploaded(a) == a);
        backend.announce_upload(std::span(a).first(100));
        EXPECT_TRUE(uploaded(a) == a);
    });
}

TEST(Memory, FillAndCopyWriteTheWholeViewAndNoMore) {
    on_every_map_type([](const Maps& maps) {
        for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{3, 5, 7, 11}, Shape{2, 64, 64, 16}}) {
            const auto x = maps.random(shape, Fill::Normal, 1);
            maps.on_every_backend([&](Backend& backend) {
                const DeviceTensor in = maps.put(backend, x), out = maps.output(backend, shape);
                backend.copy(in, out);
                expect_same_bits("copy", out.download().values, x.values);
                backend.fill(out, -2.5f);
                expect_same_bits("fill", out.download().values, std::vector<float>(x.values.size(), -2.5f));
                backend.fill(out, 0.0f);
                expect_same_bits("zeros", out.download().values, std::vector<float>(x.values.size(), 0.0f));
            });
        }
    });
}

TEST(Memory, DescriptionNamesTheDevice) {
    on_every_backend([](Backend& backend) {
        EXPECT_NE(backend.description().find(':'), std::string::npos) << backend.description();
        EXPECT_EQ(backend.description().find('\n'), std::string::npos);
    });
}

#ifndef __SANITIZE_ADDRESS__  // its allocator ends the program instead
TEST(Memory, RefusesWhatItCannotHave) {
    on_every_backend([](Backend& backend) {
        try {
            backend.allocate(size_t{1} << 60);
            FAIL() << "an exabyte was granted";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Device);
            EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
        }
    });
}
#endif

}  // namespace
}  // namespace gs::test
