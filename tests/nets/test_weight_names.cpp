// The same net under the names and layouts of other files gives the same bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "nets/weight_reader.h"
#include "passes/executor.h"
#include "passes/planner.h"
#include "tests/support/backends.h"
#include "tests/support/editable_weights.h"
#include "tests/support/expect_close.h"
#include "tests/support/golden_net.h"
#include "tests/weights/builders.h"

namespace gs::test {
namespace {

using testing_weights::bytes_of;
using testing_weights::floats;
using testing_weights::raw;
using testing_weights::zip;
using testing_weights::ZipItem;

Backend& backend() {
    return *backends_under_test().back().backend;
}

std::vector<float> logits(const WeightFile& weights, const ref::Tensor<float>& x) {
    const Net net = build_net(backend(), weights);
    return Executor(backend(), net, {.logits = true})
        .run(x.values, x.shape.n, x.shape.h, x.shape.w)
        .logits.values;
}

// "body.block1.unit01.conv1.weight" -> "resnet/block1/unit01/a/standardized_conv2d/kernel", from the table of
// the published .npz files.
std::string npz_name(const std::string& name) {
    static const std::map<std::string, std::string> fixed = {
        {"root.conv.weight", "resnet/root_block/standardized_conv2d/kernel"},
        {"before_head.gn.weight", "resnet/group_norm/gamma"},
        {"before_head.gn.bias", "resnet/group_norm/beta"},
        {"head.conv.weight", "resnet/head/conv2d/kernel"},
        {"head.conv.bias", "resnet/head/conv2d/bias"}};
    if (const auto it = fixed.find(name); it != fixed.end()) return it->second;
    static const std::regex unit(R"(body\.(block\d)\.(unit\d\d)\.(conv|gn|downsample)(\d?)\.(weight|bias))");
    std::smatch m;
    if (!std::regex_match(name, m, unit)) throw std::runtime_error("no npz name for " + name);
    const std::string place = "resnet/" + m[1].str() + "/" + m[2].str() + "/";
    if (m[3] == "downsample") return place + "a/proj/standardized_conv2d/kernel";
    const std::string letter(1, static_cast<char>('a' + (m[4].str()[0] - '1')));
    if (m[3] == "conv") return place + letter + "/standardized_conv2d/kernel";
    return place + letter + (m[5] == "weight" ? "/group_norm/gamma" : "/group_norm/beta");
}

std::string npy(const std::vector<int64_t>& shape, const std::vector<float>& values) {
    std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
    for (const int64_t extent : shape) text += std::to_string(extent) + ", ";
    text += "), }";
    text += std::string(63 - (10 + text.size()) % 64, ' ') + "\n";
    return std::string("\x93NUMPY\x01\x00", 8) + raw(static_cast<uint16_t>(text.size())) + text +
           floats(values);
}

std::string npz(const EditableWeights& weights) {
    std::vector<ZipItem> items;
    for (const auto& [name, shape, values] : weights.items) {
        if (shape.size() != 4) {
            items.push_back({.name = npz_name(name) + ".npy", .data = npy(shape, values)});
            continue;
        }
        const int64_t out = shape[0], in = shape[1], h = shape[2], w = shape[3];
        std::vector<float> hwio(values.size());
        size_t from = 0;
        for (int64_t o = 0; o < out; ++o)
            for (int64_t i = 0; i < in; ++i)
                for (int64_t y = 0; y < h; ++y)
                    for (int64_t x = 0; x < w; ++x)
                        hwio[static_cast<size_t>(((y * w + x) * in + i) * out + o)] = values[from++];
        items.push_back({.name = npz_name(name) + ".npy", .data = npy({h, w, in, out}, hwio)});
    }
    return zip(items);
}

TEST(WeightNames, BitNpzGivesTheSameBits) {
    const GoldenNet golden(GoldenCase{"bit"});
    const std::string archive = npz(EditableWeights(golden.weights()));
    const WeightFile file = read_weights_from_memory(bytes_of(archive), "BiT-S.npz");
    EXPECT_EQ(file.format, "npz");
    EXPECT_EQ(guess_architecture(WeightReader(file)), guess_architecture(WeightReader(golden.weights())));
    expect_same_bits("logits", logits(file, golden.input()), logits(golden.weights(), golden.input()));
}

TEST(WeightNames, TwoNpzNamesForOneTensorAreAFault) {
    EditableWeights weights(GoldenNet(GoldenCase{"bit"}).weights());
    std::string archive = npz(weights);
    WeightFile file = read_weights_from_memory(bytes_of(archive), "BiT-S.npz");
    StoredTensor again = *file.find("resnet/head/conv2d/bias");
    again.name = "head/conv2d/bias";
    file.tensors.push_back(again);
    try {
        build_net(backend(), file);
        FAIL() << "taken";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Weights);
        EXPECT_THAT(error.what(), testing::HasSubstr("two tensors are head.conv.bias"));
    }
}

// A regular expression would call itself for every digit.
TEST(WeightNames, ANameOfAMillionDigitsIsANameLikeOthers) {
    EditableWeights weights;
    weights.add("block" + std::string(1'000'000, '1') + "/unit01/a/group_norm/gamma", {1});
    weights.add("block" + std::string(1'000'000, '1') + "/unit01/d/group_norm/gamma", {1});
    WeightFile file = weights.file();
    file.format = "npz";
    const std::vector<std::string> names = WeightReader(file).names("body.block1");
    ASSERT_EQ(names.size(), 1u);
    EXPECT_TRUE(names[0].ends_with("1.unit01.gn1.weight"));
}

// As DataParallel saves a net; and written and read again as a file.
TEST(WeightNames, Case06_ModulePrefixesAreTakenOff) {
    const GoldenNet golden(GoldenCase{"cifar_basic"});
    std::vector<NamedTensor> tensors;
    const WeightFile plain = golden.weights();
    for (const StoredTensor& t : plain.tensors)
        tensors.push_back({"module." + t.name, t.type, t.shape, t.storage});
    const std::filesystem::path path = testing::TempDir() + "gs_module_prefix.safetensors";
    write_safetensors(path, tensors);
    const WeightFile file = read_weights(path);
    std::filesystem::remove(path);
    EXPECT_FALSE(file.notices.empty());
    expect_same_bits("logits", logits(file, golden.input()), logits(plain, golden.input()));
}

// OpenOOD calls the last layer fc and pools the whole map; where that is 4x4 both conventions agree.
TEST(WeightNames, OpenOodNamingOfACifarResNet) {
    const GoldenNet golden(GoldenCase{"cifar_bottleneck"});
    EditableWeights weights(golden.weights());
    weights.rename("linear.", "fc.");
    const WeightFile file = weights.file();
    const Architecture found = guess_architecture(WeightReader(file));
    EXPECT_EQ(found.head, "fc");
    EXPECT_EQ(found.pool_window, 0);
    expect_same_bits("logits", logits(file, golden.input()), logits(golden.weights(), golden.input()));
}

// The shortcuts under torchvision's name are the same net's.
TEST(WeightNames, DownsampleNamingOfACifarResNet) {
    const GoldenNet golden(GoldenCase{"cifar_openood"});
    EditableWeights weights(golden.weights());
    for (EditableWeights::Item& item : weights.items)
        if (const size_t at = item.name.find("shortcut"); at != std::string::npos)
            item.name.replace(at, 8, "downsample");
    const WeightFile file = weights.file();
    expect_same_bits("logits", logits(file, golden.input()), logits(golden.weights(), golden.input()));
    // huyvnphan's nets of these names and shapes have a max pool behind the stem.
    const Net plain = build_net(backend(), file);
    const Net pooled = build_net(backend(), file, {.overrides = R"({"stem_pool": true})"});
    EXPECT_THAT(plain.notices, testing::ElementsAre(testing::HasSubstr("--arch with {\"stem_pool\": true}")));
    EXPECT_THAT(pooled.notices, testing::ElementsAre());
    EXPECT_EQ(pooled.name, plain.name + " (stem_pool)");
    const auto first_stage = [](const Net& net) {
        const auto shapes = infer_shapes(net, {1, 32, 32, 3});
        return shapes[static_cast<size_t>(net.tap("layer1").value)];
    };
    EXPECT_EQ(first_stage(plain).w, 32);
    EXPECT_EQ(first_stage(pooled).w, 16);
}

TEST(RealCheckpoints, AreRecognised) {
    GS_SKIP_WITHOUT_SHARED();
    const std::filesystem::path folder = *shared_dir() / "data" / "weights";
    const std::map<std::string, std::string> names = {{"imagenet_mobilenet_v2.pth", "mobilenet-v2"},
                                                      {"cifar10_resnet20-12fca82f.th", "resnet20-cifar"},
                                                      {"cifar10_resnet56-4bfd9763.th", "resnet56-cifar"}};
    for (const auto& [file, name] : names) {
        const Net net = build_net(backend(), read_weights(folder / file), {.name = name});
        EXPECT_EQ(net.name, name) << file;
        EXPECT_EQ(net.head.classes, name == "mobilenet-v2" ? 1000 : 10);
    }
}

}  // namespace
}  // namespace gs::test
