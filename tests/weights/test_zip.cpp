#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zip.h>

#include "core/files.h"
#include "tests/weights/checks.h"

namespace gs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing_weights;

std::string pickle_of(const std::string& value) {
    return "\x80\x02" + dict({{"w", value}}) + ".";
}
const std::string kPickle = pickle_of(tensor(storage("FloatStorage", "0", 2), 0, {2}, {1}));
const std::string kTwo = floats({1.5F, -2});

std::string npy(const std::string& descr, const std::string& order, const std::string& shape,
                const std::string& data) {
    const std::string header =
        "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + "}";
    return "\x93NUMPY\x01" + std::string(1, '\0') + raw(static_cast<uint16_t>(header.size())) + header + data;
}

TEST(TorchZip, AnyFolderOrNone) {
    for (const std::string prefix : {"archive/", "", "my model/"}) {
        const std::string text = zip(
            {{prefix + "data.pkl", kPickle}, {prefix + "byteorder", "little"}, {prefix + "data/0", kTwo}});
        const WeightFile file = read_weights_from_memory(bytes_of(text), "a");
        EXPECT_EQ(file.format, "pytorch-zip");
        EXPECT_THAT(to_float32(*file.find("w")), ElementsAre(1.5F, -2.0F));
    }
}

TEST(TorchZip, MissingAndWrongParts) {
    EXPECT_THAT(error_of(zip({{"a/data.pkl", kPickle}})), HasSubstr("storage 'a/data/0' is missing"));
    EXPECT_THAT(error_of(zip({{"a/data.pkl", kPickle}, {"a/data/0", "1234"}})),
                HasSubstr("holds 4 bytes, 8 are needed"));
    EXPECT_THAT(error_of(zip({{"a/data.pkl", kPickle}, {"a/byteorder", "big"}})),
                HasSubstr("byte order 'big'"));
    EXPECT_THAT(error_of(zip({{"a/data.pkl", kPickle}, {"a/byteorder", std::string(100, 'x')}})),
                HasSubstr("malformed"));
    EXPECT_THAT(error_of(zip({{"a/data.pkl", kPickle}, {"b/data.pkl", kPickle}})),
                HasSubstr("more than one data.pkl"));
    EXPECT_THAT(error_of(zip({{"a/data.pkl", kPickle}, {"a/constants.pkl", ""}})), HasSubstr("TorchScript"));
    EXPECT_THAT(error_of(zip({{"a/data.pkl", ""}})),
                HasSubstr("a/data.pkl: bad pickle at byte 0: truncated"));
    EXPECT_THAT(error_of(zip({{"a/b/data.pkl", kPickle}})), HasSubstr("neither PyTorch's"));
    EXPECT_THAT(error_of(zip({{"a/data.pkl", "cos\nsystem\n."}})), HasSubstr("names os.system"));
    // One storage under two types: the larger claim does not fit.
    const std::string two = "\x80\x02" +
                            dict({{"v", tensor(storage("FloatStorage", "0", 2), 0, {2}, {1})},
                                  {"w", tensor(storage("DoubleStorage", "0", 2), 0, {2}, {1})}}) +
                            ".";
    EXPECT_THAT(error_of(zip({{"data.pkl", two}, {"data/0", kTwo}})),
                HasSubstr("holds 8 bytes, 16 are needed"));
}

TEST(Zip, Case04_ForgeriesAreRefused) {
    const auto with = [](ZipItem pickle) { return zip({std::move(pickle), {"data/0", kTwo}}); };
    EXPECT_EQ(error_of(with({"data.pkl", kPickle})), "no error");
    EXPECT_THAT(error_of(with({"data.pkl", kPickle, "data.pkx"})), HasSubstr("damaged zip archive"));
    EXPECT_THAT(error_of(with({"data.pkl", kPickle, "data.pkl", 1})), HasSubstr("'data.pkl': CRC error"));
    EXPECT_THAT(error_of(with({"data.pkl", kPickle, "data.pkl", 0, 1})),
                AnyOf(HasSubstr("'data.pkl' is encrypted"),
                      HasSubstr("inconsistent")));  // newer libzip sees it itself
    EXPECT_THAT(error_of(with({"data.pkl", kPickle, "data.pkl", 0, 0, 12})),
                HasSubstr("compressed by method 12"));
    EXPECT_THAT(error_of(with({"data.pkl", kPickle, "data.pkl", 0, 0, 0, 10})),
                AnyOf(HasSubstr("two different sizes"), HasSubstr("inconsistent")));
    EXPECT_THAT(error_of(with({"data.pkl", kPickle, "data.pkl", 0, 0, 0, 1000, 1000})), HasSubstr("damaged"));
    EXPECT_THAT(error_of(zip({{"data.pkl", kPickle}, {"data.pkl", kPickle}})), HasSubstr("already exists"));
    EXPECT_THAT(error_of(zip({})), HasSubstr("an empty zip archive"));
    EXPECT_THAT(error_of("PK\x03\x04"), HasSubstr("damaged zip archive"));
    EXPECT_THAT(error_of(zip({{"readme.txt", "hello"}})), HasSubstr("it holds 'readme.txt'"));
    EXPECT_THAT(error_of(zip({{".npy", "hello"}})), HasSubstr("it holds '.npy'"));
    // A deflated entry that is no deflate stream, and one whose directory promises gigabytes.
    EXPECT_THAT(error_of(with({"data.pkl", kPickle, "data.pkl", 0, 0, 8})), HasSubstr("damaged zip archive"));
    EXPECT_THAT(error_of(with({"data.pkl", kPickle, "data.pkl", 0, 0, 8, 0x7fffffff})),
                HasSubstr("a zip bomb?"));
}

TEST(Zip, Case03_TruncatedEverywhere) {
    const std::string good = zip({{"data.pkl", kPickle}, {"data/0", kTwo}});
    for (size_t length = 0; length < good.size(); ++length)
        EXPECT_NE(error_of(good.substr(0, length)), "no error") << length;
}

// 64 MiB of zeros deflate to 64 KiB.
TEST(Zip, Case04_BombsAreRefusedBeforeTheyUnpack) {
    const auto path =
        std::filesystem::temp_directory_path() / ("gradscore_bomb_" + std::to_string(::getpid()) + ".npz");
    {
        const std::string array = npy("|u1", "False", "(67108864,)", std::string(67108864, '\0'));
        int code = 0;
        zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code);
        ASSERT_NE(archive, nullptr);
        zip_file_add(archive, "a.npy", zip_source_buffer(archive, array.data(), array.size(), 0), 0);
        ASSERT_EQ(zip_close(archive), 0);
    }
    const std::vector<std::byte> bytes = read_file(path, ErrorKind::Weights);
    std::filesystem::remove(path);
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    ASSERT_LT(text.size(), 100'000u);
    EXPECT_EQ(error_of(text), "no error") << "a head of zeros, packed by np.savez_compressed";
    ReadLimits limits;
    limits.harmless_bytes = 1 << 20;
    EXPECT_THAT(error_of(text, limits), HasSubstr("times its packed size (a zip bomb?)"));
    limits.max_ratio = 2000;
    EXPECT_EQ(error_of(text, limits), "no error");
    limits.max_unpacked_bytes = 1 << 20;
    EXPECT_THAT(error_of(text, limits), HasSubstr("more than the limit of 1048576 bytes"));
}

// Many directory entries for the same bytes: each is harmless, together they are a bomb.
TEST(Zip, OverlappingEntriesAreRefused) {
    const std::string array = npy("|u1", "False", "(4000,)", std::string(4000, 'x'));
    std::string file = zip({{"0.npy", array}});
    const size_t directory = file.find("PK\x01\x02"), end = file.find("PK\x05\x06");
    std::string entries, one = file.substr(directory, end - directory);
    for (int i = 0; i < 9; ++i) entries += one;
    const std::string tail = "PK\x05\x06" + std::string(4, '\0') + raw<uint16_t>(9) + raw<uint16_t>(9) +
                             raw(static_cast<uint32_t>(entries.size())) +
                             raw(static_cast<uint32_t>(directory)) + std::string(2, '\0');
    for (size_t i = 0; i < 9; ++i) entries[i * one.size() + one.find("0.npy")] = static_cast<char>('0' + i);
    EXPECT_THAT(error_of(file.substr(0, directory) + entries + tail), HasSubstr("zip"));
}

TEST(Npz, OrdersAndTypes) {
    const std::string text = zip({{"c/x.npy", npy("<f4", "False", "(2, 1)", kTwo)},
                                  {"f.npy", npy("<f4", "True", "(2, 2)", floats({1, 3, 2, 4}))},
                                  {"b.npy", npy(">f4", "False", "(1,)", std::string("\x3f\xc0\0\0", 4))},
                                  {"i.npy", npy("<i8", "False", "()", raw<int64_t>(7))}});
    const WeightFile file = read_weights_from_memory(bytes_of(text), "a");
    EXPECT_EQ(file.format, "npz");
    EXPECT_THAT(to_float32(*file.find("c/x")), ElementsAre(1.5F, -2.0F));
    EXPECT_THAT(to_float32(*file.find("f")), ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(to_float32(*file.find("b")), ElementsAre(1.5F));
    EXPECT_EQ(file.find("i")->type, StoredType::I64);
    EXPECT_THAT(error_of(zip({{"a.npy", npy("<u2", "False", "(1,)", "xx")}})),
                HasSubstr("'a': type u2 is not supp"));
    EXPECT_THAT(error_of(zip({{"a.npy", npy("|O", "False", "(1,)", "x")}})), HasSubstr("Python objects"));
    EXPECT_THAT(error_of(zip({{"a.npy", npy("<f4", "False", "(2,)", "x")}})), HasSubstr("truncated?"));
    EXPECT_THAT(error_of(zip({{"a.npy", npy("<f4", "False", "(0, 9223372036854775807, 9)", "")}})),
                HasSubstr("overflow"));
}

TEST(UnknownContent, SaysWhatItSeemsToBe) {
    const std::pair<std::string, const char*> cases[] = {
        {"", "file.pth: is empty; supported are .safetensors"},
        {"<!DOCTYPE html><html>", "a web page"},
        {"\n <HTML>", "a web page"},
        {"\x1f\x8b\x08", "a gzip archive; unpack it first"},
        {"BZh9", "a bzip2 archive"},
        {"\xfd" + std::string("7zXZ\0", 5), "an xz archive"},
        {"7z\xbc\xaf\x27\x1c", "a 7z archive"},
        {std::string(257, 'x') + "ustar", "a tar archive"},
        {"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"},
        {"\x89HDF\r\n\x1a\n", "an HDF5 file"},
        {"\xff\xd8\xff\xe0", "a JPEG image"},
        {"\x1b[31mhello", "beginning with '\\x1b[31mhello'"},
        {"cat\nd\xffog\n", "unknown content"},
    };
    for (const auto& [text, meaning] : cases) EXPECT_THAT(error_of(text), HasSubstr(meaning));
}

}  // namespace
}  // namespace gs
