// What the tests of image sets share: a folder of its own for each, the images of make_sets.py, and how sets
// and their errors are compared.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/image_set.h"
#include "tests/data/expected.h"

namespace gs::test {

namespace fs = std::filesystem;

class Sets : public testing::Test {
  protected:
    fs::path dir = fs::path(testing::TempDir()) / ("gs_sets_" + std::to_string(::getpid()));
    fs::path given = data_dir() / "sets";

    void SetUp() override { fs::create_directories(dir); }
    void TearDown() override { fs::remove_all(dir); }

    fs::path write(const std::string& name, std::string_view content) {
        fs::create_directories((dir / name).parent_path());
        std::ofstream(dir / name, std::ios::binary) << content;
        return dir / name;
    }
    fs::path copy_image(const std::string& image, const std::string& name) {
        fs::create_directories((dir / name).parent_path());
        fs::copy_file(data_dir() / "images" / image, dir / name);
        return dir / name;
    }
};

inline Image image_of(const ImageSet& set, int64_t index) {
    return set.decode(index, set.bytes(index), {});
}

// The images of make_sets.py.
inline Image known(int64_t n) {
    Image image{32, 32, {}};
    for (int64_t y = 0; y < 32; ++y)
        for (int64_t x = 0; x < 32; ++x)
            for (int64_t c = 0; c < 3; ++c)
                image.rgb.push_back(static_cast<uint8_t>((n * 80 + y * 7 + x * 3 + c * 40) % 256));
    return image;
}

inline std::string planes(int64_t n, bool columns_first) {
    const Image image = known(n);
    std::string bytes;
    for (size_t c = 0; c < 3; ++c)
        for (size_t i = 0; i < 32; ++i)
            for (size_t j = 0; j < 32; ++j)
                bytes += static_cast<char>(image.rgb[(columns_first ? j * 32 + i : i * 32 + j) * 3 + c]);
    return bytes;
}

inline void expect_known(const std::string& spec, const std::vector<std::optional<int64_t>>& labels) {
    SCOPED_TRACE(spec);
    const auto set = open_image_set(spec);
    ASSERT_EQ(set->size(), static_cast<int64_t>(labels.size()));
    for (int64_t i = 0; i < set->size(); ++i) {
        EXPECT_EQ(image_of(*set, i).rgb, known(i).rgb) << i;
        EXPECT_EQ(set->item(i).label, labels[static_cast<size_t>(i)]);
        EXPECT_EQ(set->item(i).path, "index " + std::to_string(i));
    }
}

inline void expect_error(const std::string& spec, ErrorKind kind, const std::string& part) {
    try {
        open_image_set(spec);
        ADD_FAILURE() << spec << " was opened";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), kind) << error.what();
        EXPECT_THAT(error.what(), testing::HasSubstr(part));
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
}

}  // namespace gs::test
