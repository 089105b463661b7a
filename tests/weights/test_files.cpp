// Files that other programs wrote: by PyTorch, numpy and safetensors (make_files.py), published checkpoints,
// attacks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include "core/files.h"
#include "tests/support/json.h"
#include "tests/support/shared_dir.h"
#include "tests/weights/checks.h"

namespace gs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_weights::own_files;

std::string message_of(const std::filesystem::path& path) {
    try {
        read_weights(path);
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Weights);
        const std::string message = error.what();
        EXPECT_TRUE(message.starts_with(path.string() + ": ")) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
        return message;
    }
    return "no error";
}

std::string float_hash(const StoredTensor& tensor) {
    const std::vector<float> values = to_float32(tensor);
    return sha256_hex(std::as_bytes(std::span(values)));
}

TEST(WeightFiles, HoldWhatTheirWritersSaved) {
    const auto expected = test::read_json(own_files() / "expected.json");
    ASSERT_GE(expected.size(), 13u);
    for (const auto& [name, rows] : expected.items()) {
        SCOPED_TRACE(name);
        const WeightFile file = read_weights(own_files() / name);
        EXPECT_EQ(file.tensors.size(), rows.size());
        for (const auto& row : rows) {
            const StoredTensor* tensor = file.find(row["name"].get<std::string>());
            ASSERT_NE(tensor, nullptr) << row["name"];
            SCOPED_TRACE(tensor->name);
            EXPECT_EQ(to_string(tensor->type), row["type"].get<std::string>());
            EXPECT_EQ(tensor->shape, row["shape"].get<std::vector<int64_t>>());
            EXPECT_EQ(tensor->is_floating(), row.contains("sha256"));
            if (row.contains("sha256")) {
                EXPECT_EQ(float_hash(*tensor), row["sha256"].get<std::string>());
            }
        }
    }
}

TEST(WeightFiles, FormatsAreToldByContent) {
    EXPECT_EQ(read_weights(own_files() / "types.safetensors").format, "safetensors");
    EXPECT_EQ(read_weights(own_files() / "arrays.npz").format, "npz");
    EXPECT_EQ(read_weights(own_files() / "types_zip.pth").format, "pytorch-zip");
    EXPECT_EQ(read_weights(own_files() / "types_legacy.th").format, "pytorch-legacy");
    EXPECT_EQ(read_weights(own_files() / "types.safetensors").metadata.at("made by"), "make_files.py");
}

TEST(WeightFiles, FileOrderIsKept) {
    std::vector<std::string> names;
    for (const StoredTensor& tensor : read_weights(own_files() / "checkpoint_legacy.th").tensors)
        names.push_back(tensor.name);
    EXPECT_THAT(names, ElementsAre("conv.weight", "conv.bias", "bn.weight", "bn.bias", "bn.running_mean",
                                   "bn.running_var", "bn.num_batches_tracked"));
}

TEST(WeightFiles, WrappersAndPrefixesComeOffWithNotices) {
    for (const char* name : {"checkpoint_zip.pth", "checkpoint_legacy.th"})
        EXPECT_THAT(read_weights(own_files() / name).notices,
                    ElementsAre("weights taken from 'state_dict'",
                                "left out (no weights): epoch, arch, best_prec1, args, optimizer, scheduler",
                                "prefix 'module.' removed from 7 names"));
    EXPECT_THAT(read_weights(own_files() / "ema.pth").notices,
                ElementsAre("weights taken from 'model'", "left out (no weights): epoch",
                            "'model_ema' holds 1 tensors and was not read"));
    EXPECT_THAT(read_weights(own_files() / "nested.pth").notices,
                ElementsAre("weights taken from 'net.state_dict'", "prefix 'model.' removed from 2 names"));
    EXPECT_THAT(read_weights(own_files() / "metadata.pth").notices, ElementsAre());
}

// As torch.compile names what it wraps, alone and inside DataParallel.
TEST(WeightFiles, TorchCompilesPrefixComesOff) {
    const auto tensor = [](const std::string& name, int begin) {
        return "\"" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" + std::to_string(begin) + "," +
               std::to_string(begin + 1) + "]}";
    };
    const std::string text = testing_weights::safetensors(
        "{" + tensor("module._orig_mod.a", 0) + "," + tensor("module._orig_mod.b", 1) + "}", "xy");
    const WeightFile file = read_weights_from_memory(testing_weights::bytes_of(text), "a");
    EXPECT_NE(file.find("a"), nullptr);
    EXPECT_NE(file.find("b"), nullptr);
    EXPECT_THAT(file.notices, ElementsAre("prefix 'module.' removed from 2 names",
                                          "prefix '_orig_mod.' removed from 2 names"));
}

// Safetensors of one-byte tensors.
std::string named(const std::vector<std::string>& names) {
    std::string header;
    for (size_t i = 0; i < names.size(); ++i)
        header += (i == 0 ? "{\"" : ",\"") + names[i] + R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" +
                  std::to_string(i) + "," + std::to_string(i + 1) + "]}";
    return testing_weights::safetensors(header + "}", std::string(names.size(), 'x'));
}

struct Names {
    std::vector<std::string> tensors, notices;
};
Names names_of(const std::vector<std::string>& names) {
    const std::string text = named(names);
    const WeightFile file = read_weights_from_memory(testing_weights::bytes_of(text), "a");
    Names found{{}, file.notices};
    for (const StoredTensor& tensor : file.tensors) found.tensors.push_back(tensor.name);
    return found;
}

std::vector<std::string> under(const std::string& prefix, std::vector<std::string> names) {
    for (std::string& name : names) name.insert(0, prefix);
    return names;
}

const std::vector<std::string> kResNet{"conv1.weight", "layer1.0.conv1.weight", "fc.weight", "fc.bias"};

TEST(WeightFiles, APrefixOfOneNetComesOff) {
    const std::vector<std::vector<std::string>> nets{
        kResNet,
        {"conv1.weight", "layer1.0.conv1.weight", "linear.weight"},
        {"conv1.weight", "block1.layer.0.conv1.weight", "fc.weight"},
        {"root.conv.weight", "body.block1.unit01.conv1.weight", "head.conv.weight"},
        {"features.0.0.weight", "features.1.conv.0.0.weight", "classifier.1.weight"}};
    for (const auto& net : nets)
        for (const char* prefix : {"net.", "backbone.", "encoder.", "_fsdp_wrapped_module.", "a.b."}) {
            const Names found = names_of(under(prefix, net));
            EXPECT_EQ(found.tensors, net);
            EXPECT_THAT(found.notices, ElementsAre("prefix '" + std::string(prefix) + "' removed from " +
                                                   std::to_string(net.size()) + " names"));
        }
    EXPECT_EQ(names_of(under("model.encoder.", kResNet)).tensors, kResNet);
    EXPECT_EQ(names_of(under("module.net.", kResNet)).tensors, kResNet);
}

// As Lightning saves a net beside its criterion.
TEST(WeightFiles, WhatIsNotUnderTheNetsPrefixIsLeftOut) {
    std::vector<std::string> names = under("model.", kResNet);
    names.insert(names.begin(), "criterion.weight");
    names.push_back("metric.total");
    const Names found = names_of(names);
    EXPECT_EQ(found.tensors, kResNet);
    EXPECT_THAT(found.notices, ElementsAre("prefix 'model.' removed from 4 names",
                                           "left out (not under it): criterion.weight, metric.total"));
}

TEST(WeightFiles, APrefixIsKeptWhereItIsNotTheOnlyNets) {
    const auto kept = [](std::vector<std::string> names) {
        const Names found = names_of(names);
        EXPECT_EQ(found.tensors, names);
        return found.notices;
    };
    const auto with = [](std::vector<std::string> names, const std::vector<std::string>& more) {
        names.insert(names.end(), more.begin(), more.end());
        return names;
    };
    // The names fit as they are; no whole net; not at a dot.
    EXPECT_THAT(kept(with(kResNet, under("teacher.", kResNet))), ElementsAre());
    EXPECT_THAT(kept(under("encoder.", {"conv1.weight", "layer1.0.conv1.weight"})), ElementsAre());
    EXPECT_THAT(kept(with(under("encoder.", {"conv1.weight", "layer1.0.conv1.weight"}), {"fc.weight"})),
                ElementsAre());
    EXPECT_THAT(kept(under("my", kResNet)), ElementsAre());
    EXPECT_THAT(kept(under("weights/a.", kResNet)), ElementsAre());
    EXPECT_THAT(
        kept(with(under("student.", kResNet), under("teacher.", kResNet))),
        ElementsAre("several nets, under the prefixes student., teacher.: which is meant is not told; "
                    "save one"));
    // But a moving average is no second net.
    EXPECT_EQ(names_of(with(under("ema_net.", kResNet), under("net.", kResNet))).tensors, kResNet);
}

TEST(WeightFiles, AnIndexOfShardsIsCalledSo) {
    EXPECT_THAT(testing_weights::error_of(R"({"metadata": {}, "weight_map": {"a": "b-00001-of-00002"}})"),
                HasSubstr("the index of weights in several files (shards)"));
    EXPECT_THAT(testing_weights::error_of(R"({"a": 1, "b": [2, 3]})"), HasSubstr("unknown content"));
}

TEST(WeightFiles, RefusalsSayWhy) {
    const std::pair<const char*, const char*> cases[] = {
        {"whole_model.pt", "refused: the pickle names __main__.Net"},
        {"single_tensor.pt", "a single tensor without a name"},
        {"expanded.pt", "tensor 'w': repeats its storage"},
        {"complex.pt", "tensor 'w': type ComplexFloatStorage is not supported"},
        {"uint16.pt", "tensor 'w': type uint16 is not supported"},
        {"float8.pt", "tensor 'w': type float8_e4m3fn is not supported"},
        {"no_tensors.pt", "no dict of tensors found (its keys: lr, epochs)"},
        {"torchscript.pt", "a TorchScript archive"},
    };
    for (const auto& [name, why] : cases) EXPECT_THAT(message_of(own_files() / name), HasSubstr(why));
    EXPECT_THAT(message_of(own_files() / "missing.pth"), HasSubstr("cannot open"));
    EXPECT_THAT(message_of(own_files()), HasSubstr("is a folder"));
}

TEST(WeightFiles, CopiesOutliveTheOriginal) {
    WeightFile copy;
    {
        const WeightFile file = read_weights(own_files() / "views_zip.pth");
        copy = file;
    }
    EXPECT_EQ(to_float32(*copy.find("row")).size(), 8u);
    EXPECT_EQ(copy.sha256(), sha256_hex(read_file(copy.path, ErrorKind::Weights)));
    EXPECT_EQ(copy.find("nothing"), nullptr);
    EXPECT_THROW(to_float32(*read_weights(own_files() / "types_zip.pth").find("int64")), Error);
}

// SHA-256 over name bytes and float32 bytes of every floating tensor, in file order, as PyTorch reads them.
std::string content_hash(const WeightFile& file) {
    Sha256 hash;
    for (const StoredTensor& tensor : file.tensors) {
        if (!tensor.is_floating()) continue;
        hash.update(tensor.name);
        const std::vector<float> values = to_float32(tensor);
        hash.update(std::as_bytes(std::span(values)));
    }
    return hash.hex();
}

TEST(SharedWeights, PublishedCheckpointsAreBitEqualToPyTorch) {
    GS_SKIP_WITHOUT_SHARED();
    const auto folder = *test::shared_dir() / "data/weights";
    const std::tuple<const char*, size_t, const char*> files[] = {
        {"cifar10_resnet20-12fca82f.th", 97,
         "b0a845a931deb07e2020f9498e047407e8dd2ec9b3fa9d8d91bec0ff9bb41059"},
        {"cifar10_resnet56-4bfd9763.th", 277,
         "dcf79f29e1e4b3a54f851efe88ca7544c7d136238b6a185940c6e4adea6ed859"},
        {"imagenet_mobilenet_v2.pth", 314,
         "5c307e6f3b45e410c53cc4116525768b751d52984587111acc0f1529b1f80814"}};
    for (const auto& [name, count, hash] : files) {
        const WeightFile file = read_weights(folder / name);
        EXPECT_EQ(file.tensors.size(), count) << name;
        EXPECT_EQ(content_hash(file), hash) << name;
    }
}

TEST(SharedWeights, GoldenFilesLoad) {
    GS_SKIP_WITHOUT_SHARED();
    const auto folder = *test::shared_dir() / "golden";
    int files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        if (entry.path().extension() != ".safetensors") continue;
        ++files;
        const WeightFile file = read_weights(entry.path());
        EXPECT_EQ(file.format, "safetensors");
        EXPECT_FALSE(file.tensors.empty());
    }
    EXPECT_GT(files, 17);
    const WeightFile tiny = read_weights(folder / "tv_resnet_tiny.safetensors");
    EXPECT_EQ(content_hash(tiny), "f8e334b250a11a8b1b2419959fb0dd636333e953578e03b080b667d564bba3d2");
    EXPECT_TRUE(tiny.metadata.contains("arch"));
}

TEST(SharedWeights, EveryAttackIsRefusedByName) {
    GS_SKIP_WITHOUT_SHARED();
    const auto folder = *test::shared_dir() / "data/hostile";
    const std::set<std::string> load = {"int_arrays.npz", "int_arrays_compressed.npz", "pytorch_model.bin"};
    const std::map<std::string, const char*> reasons = {
        {"GHSA-jgw4-cr84-mqxg.bin", "names asyncio.unix_events._UnixSubprocessTransport._start"},
        {"bad_pytorch.pt", "a PNG image"},
        {"benign0_v0.pkl", "a Python pickle, but none of PyTorch's"},
        {"benign0_v3.pkl", "a Python pickle, but none of PyTorch's"},
        {"benign0_v4.pkl", "a Python pickle, but none of PyTorch's"},
        {"benign_password_protected.zip", "'test.txt' is encrypted"},
        {"dns_exfiltration.npy", "array of Python objects"},
        {"int_array.npy", "a single array"},
        {"malicious0.pkl", "names __builtin__.globals"},
        {"malicious1.7z", "a 7z archive"},
        {"malicious1.zip", "names builtins.eval"},
        {"malicious6.pkl", "names requests.api.get"},
        {"malicious11.pkl", "names os.system"},
        {"malicious19.pkl", "names functools.partial"},
        {"malicious1_0x1.zip", "is encrypted"},
        {"malicious1_0x20.zip", "neither PyTorch's"},
        {"malicious1_0x40.zip", "neither PyTorch's"},
        {"malicious1_central_directory.zip", "damaged zip archive"},
        {"malicious1_crc.zip", "CRC error"},
        {"malicious1_wrong_ext.zip", "neither PyTorch's"},
        {"new_pytorch_model.bin", "a single tensor without a name"},
        {"not_a_pickle.bin", "unknown content"},
        {"object_array.npy", "array of Python objects"},
        {"object_arrays.npz", "array of Python objects"},
        {"object_arrays_compressed.npz", "array of Python objects"},
        {"pytorch_magic_bypass.pt", "names __builtin__.eval"},
        {"sys_module_override_sploit.pkl", "names torch._utils,"},
    };
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        const std::string name = entry.path().filename().string();
        ++files;
        const auto start = std::chrono::steady_clock::now();
        const std::string message = message_of(entry.path());
        EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1)) << name;
        if (load.contains(name)) {
            EXPECT_EQ(message, "no error") << name;
            continue;
        }
        const auto reason = reasons.find(name);
        EXPECT_THAT(message,
                    HasSubstr(reason == reasons.end() ? "refused: the pickle names " : reason->second));
    }
    EXPECT_GT(files, 100);
}

}  // namespace
}  // namespace gs
