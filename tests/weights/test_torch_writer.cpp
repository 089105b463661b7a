// State dicts for PyTorch: read back by our reader, which is tested against files that torch.save wrote, and
// byte for byte where torch.load looks (tests/weights/check_torch_writer.py has torch itself read one).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "core/files.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_file.h"
#include "tests/weights/checks.h"

namespace gs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing_weights;

class TorchWriter : public ::testing::Test {
  protected:
    test::ScratchFile file_{std::span<const uint8_t>{}, ".pth"};
    std::vector<float> floats_ = {1, -2, 3.5F, 0, 1e-30F, -0.0F};

    NamedTensor six(const std::string& name, std::vector<int64_t> shape) const {
        return {name, StoredType::F32, std::move(shape), std::as_bytes(std::span(floats_))};
    }
    std::string error(const std::vector<NamedTensor>& tensors) {
        return test::failure_of(ErrorKind::Weights, [&] { write_torch(file_.path(), tensors); });
    }
};

TEST_F(TorchWriter, ReadsBackAsItWas) {
    const std::vector<int64_t> counter = {int64_t{1} << 40};
    const std::vector<uint16_t> halves = {0x3c00, 0xc000};
    const std::vector<NamedTensor> tensors = {
        six("layer1.0.conv1.weight", {1, 2, 3}),
        six("été", {6}),
        {"bn.num_batches_tracked", StoredType::I64, {}, std::as_bytes(std::span(counter))},
        {"half", StoredType::F16, {2}, std::as_bytes(std::span(halves))},
        {"none", StoredType::F32, {0, 3}, {}}};
    write_torch(file_.path(), tensors);
    const WeightFile read = read_weights(file_.path());
    EXPECT_EQ(read.format, "pytorch-zip");
    EXPECT_TRUE(read.notices.empty());
    ASSERT_EQ(read.tensors.size(), tensors.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
        SCOPED_TRACE(tensors[i].name);
        EXPECT_EQ(read.tensors[i].name, tensors[i].name);
        EXPECT_EQ(read.tensors[i].type, tensors[i].type);
        EXPECT_EQ(read.tensors[i].shape, tensors[i].shape);
        const auto stored = read.tensors[i].storage.first(tensors[i].bytes.size());
        EXPECT_TRUE(std::equal(stored.begin(), stored.end(), tensors[i].bytes.begin()));
    }
}

// torch.load(mmap=True) and the reader of torch.jit want storages at multiples of 64 bytes.
TEST_F(TorchWriter, StoragesAreAligned) {
    write_torch(file_.path(), std::vector{six("a", {6}), six("b", {2, 3})});
    const MappedFile mapped(file_.path(), ErrorKind::Weights);
    const std::string_view bytes(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
    const std::string_view data(reinterpret_cast<const char*>(floats_.data()), floats_.size() * 4);
    size_t found = 0;
    for (size_t at = bytes.find(data); at != bytes.npos; at = bytes.find(data, at + 1), ++found)
        EXPECT_EQ(at % 64, 0u);
    EXPECT_EQ(found, 2u);
}

TEST_F(TorchWriter, RefusesWhatPytorchCouldNotRead) {
    EXPECT_THAT(error({six("a", {6}), six("a", {6})}), HasSubstr("two tensors are named 'a'"));
    EXPECT_THAT(error({six("\xff", {6})}), HasSubstr("is not UTF-8"));
    std::vector<NamedTensor> many;
    for (int i = 0; i < 65'600; ++i) many.push_back({std::to_string(i), StoredType::U8, {0}, {}});
    EXPECT_THAT(error(many), HasSubstr("65535 tensors; write safetensors instead"));
}

}  // namespace
}  // namespace gs
