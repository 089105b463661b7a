// Every test file and fuzz seed, cut at every position and with every byte changed: an error or a result,
// never more. The fuzz targets go further; this part runs in every CI.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/files.h"
#include "tests/weights/checks.h"

namespace gs {
namespace {

using testing_weights::error_of;

std::vector<std::filesystem::path> seeds() {
    std::vector<std::filesystem::path> paths;
    const std::filesystem::path root = GS_SOURCE_DIR;
    for (const char* folder : {"tests/weights/files", "tests/fuzz/corpus/weights"}) {
        if (!std::filesystem::exists(root / folder)) continue;
        for (const auto& entry : std::filesystem::directory_iterator(root / folder))
            if (entry.is_regular_file() && entry.path().extension() != ".json") paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
}

class Mutations : public ::testing::TestWithParam<std::filesystem::path> {
  protected:
    std::string text() const {
        const std::vector<std::byte> bytes = read_file(GetParam(), ErrorKind::Internal);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
};

TEST_P(Mutations, CutAnywhere) {
    const std::string good = text();
    const bool loads = error_of(good) == "no error";
    for (size_t length = 0; length < good.size(); ++length) {
        const std::string error = error_of(good.substr(0, length));
        if (loads) {
            ASSERT_NE(error, "no error") << "cut to " << length << " bytes";
        }
    }
}

TEST_P(Mutations, BytesChanged) {
    const std::string good = text();
    for (size_t i = 0; i < good.size(); ++i)
        for (const int flip : {0x01, 0x80, 0xFF}) {
            std::string changed = good;
            changed[i] = static_cast<char>(changed[i] ^ flip);
            error_of(changed);
        }
}

INSTANTIATE_TEST_SUITE_P(Files, Mutations, ::testing::ValuesIn(seeds()), [](const auto& param) {
    std::string name = param.param.filename().string();
    std::replace_if(
        name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
    return name;
});

}  // namespace
}  // namespace gs
