#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/files.h"
#include "tests/weights/checks.h"

namespace gs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing_weights;

const std::string kOne = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

std::string error_of_header(const std::string& header, size_t data = 8) {
    return error_of(safetensors(header, std::string(data, 'x')));
}

TEST(Safetensors, ScalarsEmptyTensorsAndPadding) {
    const std::string header =
        R"({"__metadata__":{"k":"v"},"s":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
        R"("e":{"dtype":"I64","shape":[0,7],"data_offsets":[8,8]},)"
        R"("b":{"data_offsets":[8,10],"shape":[1,2],"dtype":"BOOL"}}     )";
    const std::string text = safetensors(header, raw(2.5) + std::string("\1\0", 2));
    const WeightFile file = read_weights_from_memory(bytes_of(text), "a");
    EXPECT_EQ(file.tensors.size(), 3u);
    EXPECT_THAT(to_float32(*file.find("s")), ElementsAre(2.5F));
    EXPECT_EQ(file.find("e")->elements(), 0);
    EXPECT_EQ(file.find("b")->type, StoredType::Bool);
    EXPECT_EQ(file.metadata.at("k"), "v");
}

TEST(Safetensors, Case05_LayoutRulesAreNamed) {
    const auto entry = [](const std::string& name, int begin, int end) {
        return "\"" + name + R"(":{"dtype":"U8","shape":[)" + std::to_string(end - begin) +
               R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
    };
    EXPECT_EQ(error_of_header("{" + entry("a", 4, 8) + "," + entry("b", 0, 4) + "}"), "no error");
    // One without elements, written after the one that begins at the same byte.
    EXPECT_EQ(error_of_header("{" + entry("a", 0, 8) + "," + entry("b", 0, 0) + "}"), "no error");
    EXPECT_THAT(error_of_header("{" + entry("a", 0, 4) + "," + entry("b", 3, 8) + "}"),
                HasSubstr("'b' overlaps"));
    EXPECT_THAT(error_of_header("{" + entry("a", 0, 4) + "," + entry("b", 5, 8) + "}"),
                HasSubstr("'b' leaves a hole"));
    EXPECT_THAT(error_of_header("{" + entry("a", 1, 8) + "}"), HasSubstr("'a' leaves a hole"));
    EXPECT_THAT(error_of_header("{" + entry("a", 0, 7) + "}"), HasSubstr("1 bytes after the last tensor"));
    EXPECT_THAT(error_of_header("{" + entry("a", 0, 9) + "}"),
                HasSubstr("'a' ends at byte 9 of 8; the file is trunc"));
    EXPECT_THAT(
        error_of_header(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,18446744073709551615]}})"),
        HasSubstr("truncated"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,8]},)"
                                R"("b":{"dtype":"U8","shape":[1],"data_offsets":[8,4]}})"),
                HasSubstr("its shape and type need 1"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})"),
                HasSubstr("takes 8 bytes, its shape and type need 12"));
    // 2^62 x 8 x 4 wraps to 0 in 64 bits.
    EXPECT_THAT(
        error_of_header(R"({"a":{"dtype":"F32","shape":[4611686018427387904,8],"data_offsets":[0,8]}})"),
        HasSubstr("overflows"));
    EXPECT_THAT(
        error_of_header(R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})"),
        HasSubstr("beyond 63 bits"));
}

TEST(Safetensors, Case05_HeaderRulesAreNamed) {
    ASSERT_EQ(error_of_header(kOne), "no error");
    EXPECT_THAT(error_of_header("{}", 0), HasSubstr("holds no tensors"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})"),
                HasSubstr("type 'F8_E4M3' is not supported"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                                R"("a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
                HasSubstr("'a' appears twice"));
    EXPECT_THAT(error_of_header(R"({"__metadata__":{},"__metadata__":{}})"), HasSubstr("appears twice"));
    EXPECT_THAT(error_of_header(R"({"__metadata__":{"a":"b","a":"c"}})"), HasSubstr("key 'a' appears twice"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})"),
                HasSubstr("key 'dtype' appears twice"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[2]}})"), HasSubstr("is missing"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})"),
                HasSubstr("unknown key 'x'"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})"),
                HasSubstr("two numbers"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})"),
                HasSubstr("negative"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})"),
                HasSubstr("fraction"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})"),
                HasSubstr("an array"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})"),
                HasSubstr("a number"));
    EXPECT_THAT(error_of_header(R"({"a":{"dtype":{},"shape":2,"data_offsets":[0,8]}})"),
                HasSubstr("an object"));
    EXPECT_THAT(error_of_header(R"({"a":null})"), HasSubstr("null"));
    EXPECT_THAT(error_of_header(R"({"a":true})"), HasSubstr("a boolean"));
    EXPECT_THAT(error_of_header(R"({"a":"F32"})"), HasSubstr("a string"));
    EXPECT_THAT(error_of_header(R"({"__metadata__":{"a":1}})"), HasSubstr("a number"));
    EXPECT_THAT(error_of_header(R"({"__metadata__":{"a":{}}})"), HasSubstr("an object"));
    EXPECT_THAT(error_of_header(R"({"__metadata__":{"a":[]}})"), HasSubstr("an array"));
    EXPECT_THAT(error_of_header(kOne + "x"), HasSubstr("malformed JSON"));
    EXPECT_THAT(error_of_header("{\"\xff\":1}"), HasSubstr("malformed JSON"));
    EXPECT_THAT(error_of_header("{\"a\":" + std::string(1'000'000, '[')), HasSubstr("an array"));
    std::string many = R"({"a":{"dtype":"F32","shape":[1)";
    for (int i = 0; i < 64; ++i) many += ",1";
    EXPECT_THAT(error_of_header(many + R"(],"data_offsets":[0,4]}})"), HasSubstr("64 dimensions"));
}

TEST(Safetensors, Case05_LengthsBeyondTheFile) {
    const std::string good = safetensors(kOne, "12345678");
    for (size_t length = 0; length < good.size(); ++length)
        EXPECT_NE(error_of(good.substr(0, length)), "no error") << length;
    EXPECT_THAT(error_of(raw<uint64_t>(1000) + kOne),
                HasSubstr("goes beyond the end; the file is truncated"));
    EXPECT_THAT(error_of(raw<uint64_t>(100'000'001) + kOne), HasSubstr("the format allows 100 MB"));
    EXPECT_THAT(error_of(raw(UINT64_MAX) + kOne), HasSubstr("the format allows 100 MB"));
}

TEST(Safetensors, LimitOnTensors) {
    ReadLimits limits;
    limits.max_tensors = 1;
    EXPECT_EQ(error_of(safetensors(kOne, "12345678"), limits), "no error");
    EXPECT_THAT(error_of(safetensors(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
                                     R"("b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
                                     ""),
                         limits),
                HasSubstr("more than the limit of 1 tensors"));
}

TEST(Safetensors, PrefixesComeOffOnlyWhereNamesStayUnique) {
    const auto names = [](const std::vector<std::string>& stored) {
        std::string header = "{";
        for (const std::string& name : stored)
            header += (header.size() > 1 ? ",\"" : "\"") + name +
                      R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
        const std::string text = safetensors(header + "}", "");
        std::vector<std::string> read;
        for (const StoredTensor& tensor : read_weights_from_memory(bytes_of(text), "a").tensors)
            read.push_back(tensor.name);
        return read;
    };
    EXPECT_THAT(names({"module.a", "module.b"}), ElementsAre("a", "b"));
    EXPECT_THAT(names({"module.a", "n_averaged"}), ElementsAre("a", "n_averaged"));
    EXPECT_THAT(names({"module.a", "a"}), ElementsAre("module.a", "a"));
    EXPECT_THAT(names({"module.model.module.a"}), ElementsAre("a"));
    EXPECT_THAT(names({"model.a", "fc.b"}), ElementsAre("model.a", "fc.b"));
    EXPECT_THAT(names({"module."}), ElementsAre("module."));
}

class Writer : public ::testing::Test {
  protected:
    std::filesystem::path path_ = std::filesystem::temp_directory_path() /
                                  ("gradscore_writer_" + std::to_string(::getpid()) + ".safetensors");
    void TearDown() override { std::filesystem::remove(path_); }
};

TEST_F(Writer, RoundTripIsExact) {
    const WeightFile source = read_weights(own_files() / "types.safetensors");
    std::vector<NamedTensor> tensors;
    for (const StoredTensor& tensor : source.tensors)
        tensors.push_back({tensor.name, tensor.type, tensor.shape, tensor.storage});
    write_safetensors(path_, tensors, {{"k\"\n", "v\xc3\xa9"}});
    const WeightFile copy = read_weights(path_);
    ASSERT_EQ(copy.tensors.size(), source.tensors.size());
    for (const StoredTensor& before : source.tensors) {
        const StoredTensor* after = copy.find(before.name);
        ASSERT_NE(after, nullptr) << before.name;
        EXPECT_EQ(after->type, before.type);
        EXPECT_EQ(after->shape, before.shape);
        EXPECT_EQ(sha256_hex(after->storage), sha256_hex(before.storage)) << before.name;
    }
    EXPECT_EQ(copy.metadata.at("k\"\n"), "v\xc3\xa9");
    uint64_t header = 0;
    std::memcpy(&header, copy.bytes.data(), sizeof header);
    EXPECT_EQ(header % 8, 0u);
}

TEST_F(Writer, OrderIsKept) {
    const std::byte data[2] = {std::byte{1}, std::byte{2}};
    const NamedTensor tensors[] = {{"z", StoredType::U8, {1}, std::span(data).first(1)},
                                   {"a", StoredType::U8, {}, std::span(data).last(1)}};
    write_safetensors(path_, tensors);
    const WeightFile file = read_weights(path_);
    EXPECT_EQ(file.tensors[0].name, "z");
    EXPECT_EQ(file.tensors[1].name, "a");
    EXPECT_EQ(file.tensors[1].storage[0], std::byte{2});
}

TEST_F(Writer, RefusesWhatTheFormatCannotHold) {
    const auto error = [&](const std::vector<std::string>& names,
                           const std::map<std::string, std::string>& metadata) {
        std::vector<NamedTensor> tensors;
        for (const std::string& name : names) tensors.push_back({name, StoredType::F32, {0}, {}});
        try {
            write_safetensors(path_, tensors, metadata);
        } catch (const Error& e) {
            EXPECT_FALSE(std::filesystem::exists(path_));
            return std::string(e.what());
        }
        return std::string("no error");
    };
    EXPECT_THAT(error({"a", "a"}, {}), HasSubstr("two tensors are named 'a'"));
    EXPECT_THAT(error({"__metadata__"}, {}), HasSubstr("__metadata__"));
    EXPECT_THAT(error({"\xff"}, {}), HasSubstr("'\\xff' is not UTF-8"));
    EXPECT_THAT(error({"a"}, {{"k", "\xff"}}), HasSubstr("not UTF-8"));
    const NamedTensor wrong{"a", StoredType::F32, {2}, {}};
    EXPECT_THROW(write_safetensors(path_, std::span(&wrong, 1)), Error);
    const NamedTensor fine{"a", StoredType::F32, {0}, {}};
    EXPECT_THROW(write_safetensors("/nonexistent/folder/x.safetensors", std::span(&fine, 1)), Error);
}

}  // namespace
}  // namespace gs
