// Every test file and fuzz seed, cut at every position and with every byte changed: an error or a result,
// never more. The fuzz targets go further; this part runs in every CI.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/files.h"
#include "tests/weights/checks.h"

namespace gs {
namespace {

using testing_weights::error_of;

// Files are read as they are; the seeds of fuzz_safetensors and fuzz_torch are the middle part of one.
struct Seed {
    std::filesystem::path path;
    std::function<std::string(const std::string&)> whole;
};
void PrintTo(const Seed& seed, std::ostream* stream) {
    *stream << seed.path;
}

std::vector<Seed> seeds() {
    const auto same = [](const std::string& text) { return text; };
    const Seed folders[] = {{"tests/weights/files", same},
                            {"tests/fuzz/corpus/weights", same},
                            {"tests/fuzz/corpus/safetensors", testing_weights::header_and_data},
                            {"tests/fuzz/corpus/torch", testing_weights::torch_zip_around},
                            {"tests/fuzz/corpus/torch", testing_weights::legacy_around}};
    std::vector<Seed> found;
    for (const Seed& folder : folders)
        for (const auto& entry : std::filesystem::directory_iterator(GS_SOURCE_DIR / folder.path))
            if (entry.path().extension() != ".json") found.push_back({entry.path(), folder.whole});
    return found;
}

class Mutations : public ::testing::TestWithParam<Seed> {
  protected:
    void SetUp() override {
        const std::vector<std::byte> bytes = read_file(GetParam().path, ErrorKind::Internal);
        part_.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    std::string whole(const std::string& part) const { return GetParam().whole(part); }
    std::string part_;
};

TEST_P(Mutations, CutAnywhere) {
    const std::string file = whole(part_);
    const bool loads = error_of(file) == "no error";
    for (size_t length = 0; length < file.size(); ++length) {
        const std::string error = error_of(file.substr(0, length));
        if (loads) {
            ASSERT_NE(error, "no error") << "cut to " << length << " bytes";
        }
    }
}

TEST_P(Mutations, BytesChanged) {
    for (size_t i = 0; i < part_.size(); ++i)
        for (const int flip : {0x01, 0x80, 0xFF}) {
            std::string changed = part_;
            changed[i] = static_cast<char>(changed[i] ^ flip);
            error_of(whole(changed));
        }
}

INSTANTIATE_TEST_SUITE_P(Files, Mutations, ::testing::ValuesIn(seeds()), [](const auto& param) {
    std::string name = param.param.path.filename().string();
    std::replace_if(
        name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
    return name + "_" + std::to_string(param.index);
});

}  // namespace
}  // namespace gs
