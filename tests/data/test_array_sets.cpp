// Sets that are one file of pixels: CIFAR, tiny images, SVHN, npy; good ones, odd ones, and what is said of
// bad ones.
#include <matio.h>

#include "tests/data/set_files.h"

namespace gs::test {
namespace {

TEST_F(Sets, CifarBinary) {
    const std::string ten = '\3' + planes(0, false) + '\0' + planes(1, false) + '\x9' + planes(2, false);
    const std::string hundred = "\1*" + planes(0, false) +
                                "\x13"
                                "c" +
                                planes(1, false) + std::string("\4\0", 2) + planes(2, false);
    expect_known("cifar10:" + write("any.bin", ten).string(), {3, 0, 9});
    expect_known("cifar100:" + write("any100.bin", hundred).string(), {42, 99, 0});
    write("ten/test_batch.bin", ten);
    expect_known("cifar10:" + (dir / "ten").string(), {3, 0, 9});
    write("hundred/cifar-100-binary/test.bin", hundred);
    write("hundred/cifar-100-binary/train.bin", hundred.substr(0, 3074));
    expect_known("cifar100:" + (dir / "hundred").string(), {42, 99, 0});
    expect_known("cifar100:" + (dir / "hundred").string() + ":split=train", {42});
    for (int part = 1; part <= 5; ++part) write("ten/data_batch_" + std::to_string(part) + ".bin", ten);
    EXPECT_EQ(open_image_set("cifar10:" + (dir / "ten").string() + ":split=train")->size(), 15);
}

TEST_F(Sets, BadCifar) {
    const std::string record = '\3' + planes(0, false);
    expect_error("cifar10:" + write("short.bin", record.substr(1)).string(), ErrorKind::Data,
                 "3072 bytes are no whole number of CIFAR-10 records");
    expect_error("cifar10:" + write("label.bin", record + '\xa' + planes(0, false)).string(), ErrorKind::Data,
                 "record 1 has label 10");
    expect_error("cifar10:" + write("empty.bin", "").string(), ErrorKind::Data, "no images");
    expect_error("cifar10:" + dir.string(), ErrorKind::Data, "no CIFAR-10 here");
    expect_error("cifar10:" + dir.string() + ":split=val", ErrorKind::Usage,
                 "split=val is neither test nor train");
    const auto bytes = read_file(given / "cifar10_python2", ErrorKind::Data);
    std::string pickle(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto changed = [&](const std::string& from, const std::string& to) {
        std::string copy = pickle;
        copy.replace(copy.find(from), from.size(), to);
        return "cifar10:" + write("changed", copy).string();
    };
    expect_error(changed("cnumpy\ndtype", "cposix\nsystem"), ErrorKind::Data, "posix.system");
    expect_error(changed("labels", "lebals"), ErrorKind::Data, "there is no list 'labels'");
    expect_error(changed("](K\3K", "](K\xaK"), ErrorKind::Data, "no label below 10");
    expect_error(changed("](K\3K", "](K\3N"), ErrorKind::Data, "");
    expect_error(changed(std::string("U\2u1"), std::string("U\2u2")), ErrorKind::Data,
                 "'data' is no numpy array uint8 [3, 3072]");
    expect_error(changed(std::string("K\3M\0\xc", 5), std::string("K\2M\0\xc", 5)), ErrorKind::Data,
                 "'data' is no numpy array");
    expect_error("cifar100:" + (given / "cifar10_python2").string(), ErrorKind::Data,
                 "there is no list 'fine_labels'");
}

TEST_F(Sets, CifarPython) {
    expect_known("cifar10:" + (given / "cifar10_python2").string(), {3, 0, 9});
    expect_known("cifar10:" + (given / "cifar10_protocol4").string(), {3, 0, 9});
    expect_known("cifar10:" + (given / "cifar10_protocol5").string(), {3, 0, 9});
    expect_known("cifar100:" + (given / "cifar100_python2").string(), {42, 99, 0});
    fs::create_directories(dir / "c/cifar-10-batches-py");
    fs::copy_file(given / "cifar10_python2", dir / "c/cifar-10-batches-py/test_batch");
    expect_known("cifar10:" + (dir / "c").string(), {3, 0, 9});
}

TEST_F(Sets, TinyImages) {
    const auto file = write("tiny.bin", planes(0, true) + planes(1, true) + planes(2, true));
    expect_known("tiny-images:" + file.string(), {std::nullopt, std::nullopt, std::nullopt});
    expect_error("tiny-images:" + write("odd.bin", planes(0, true) + "x").string(), ErrorKind::Data,
                 "3073 bytes are no whole number");
}

TEST_F(Sets, TinyImagesWithoutThoseOfAList) {
    std::string all;
    for (int64_t n = 0; n < 7; ++n) all += planes(n, true);
    const std::string tiny = "tiny-images:" + write("tiny.bin", all).string() + ":skip=";
    const auto kept = [&](const std::string& list) {
        const auto set = open_image_set(tiny + write("skip.txt", list).string());
        std::string text;
        for (int64_t i = 0; i < set->size(); ++i) {
            text += set->item(i).path.substr(6);  // behind "index "
            const int64_t n = text.back() - '0';
            EXPECT_EQ(set->bytes(i), open_image_set("tiny-images:" + (dir / "tiny.bin").string())->bytes(n));
        }
        return text;
    };
    EXPECT_EQ(kept("4\n2\n3\n2\n"), "0456");  // numbers count from 1
    EXPECT_EQ(kept("\xef\xbb\xbf"
                   "1\r\n7\r\n"),
              "12345");
    EXPECT_EQ(kept("79302017\n6"), "012346");
    EXPECT_EQ(kept(""), "0123456");
    expect_error(tiny + write("skip.txt", "5\n0\n").string(), ErrorKind::Data, "skip.txt:2: not the number");
    expect_error(tiny + write("skip.txt", "5,6").string(), ErrorKind::Data, "skip.txt:1: not the number");
    expect_error(tiny + (dir / "absent").string(), ErrorKind::Data, "absent: cannot open");
    expect_error(tiny + write("skip.txt", "1\n2\n3\n4\n5\n6\n7\n").string(), ErrorKind::Data, "no images");
}

// Writes an SVHN file with matio.
void write_mat(const fs::path& path, matio_classes type, std::vector<size_t> dims, size_t labels) {
    std::string pixels;
    for (int64_t n = 0; n < 3; ++n) pixels += planes(n, true);
    std::vector<uint8_t> y{5, 10, 1};
    const auto type_of_data = type == MAT_C_UINT8 ? MAT_T_UINT8 : MAT_T_INT8;
    mat_t* file = Mat_CreateVer(path.c_str(), nullptr, MAT_FT_MAT5);
    ASSERT_NE(file, nullptr);
    matvar_t* x =
        Mat_VarCreate("X", type, type_of_data, static_cast<int>(dims.size()), dims.data(), pixels.data(), 0);
    size_t label_dims[] = {labels, 1};
    matvar_t* labels_variable = Mat_VarCreate("y", MAT_C_UINT8, MAT_T_UINT8, 2, label_dims, y.data(), 0);
    EXPECT_EQ(Mat_VarWrite(file, x, MAT_COMPRESSION_ZLIB), 0);
    EXPECT_EQ(Mat_VarWrite(file, labels_variable, MAT_COMPRESSION_ZLIB), 0);
    Mat_VarFree(x);
    Mat_VarFree(labels_variable);
    Mat_Close(file);
}

TEST_F(Sets, Svhn) {
    expect_known("svhn:" + (given / "svhn_plain.mat").string(), {5, 0, 1});
    expect_known("svhn:" + (given / "svhn_compressed.mat").string(), {5, 0, 1});
    write_mat(dir / "one.mat", MAT_C_UINT8, {32, 32, 3}, 1);
    expect_known("svhn:" + (dir / "one.mat").string(), {5});
}

TEST_F(Sets, BadSvhn) {
    write_mat(dir / "labels.mat", MAT_C_UINT8, {32, 32, 3, 3}, 2);
    expect_error("svhn:" + (dir / "labels.mat").string(), ErrorKind::Data,
                 "y does not have a label for each image");
    write_mat(dir / "signed.mat", MAT_C_INT8, {32, 32, 3, 3}, 3);
    expect_error("svhn:" + (dir / "signed.mat").string(), ErrorKind::Data, "its X is something else");
    write_mat(dir / "shape.mat", MAT_C_UINT8, {3, 32, 32, 3}, 3);
    expect_error("svhn:" + (dir / "shape.mat").string(), ErrorKind::Data,
                 "its X is something else; needed are SVHN's X uint8 [32, 32, 3, N]");
    std::string hdf = "MATLAB 7.3";
    hdf.resize(124, ' ');
    hdf += std::string("\0\2IM", 4) + std::string(384, '\0') + "\x89HDF\r\n\x1a\n" + std::string(500, '\1');
    expect_error("svhn:" + write("hdf.mat", hdf).string(), ErrorKind::Data,
                 "hdf.mat: a MATLAB file of version 7.3; save it with -v7");
    const auto bytes = read_file(given / "svhn_plain.mat", ErrorKind::Data);
    std::string plain(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    expect_error("svhn:" + write("cut.mat", plain.substr(0, plain.size() - 100)).string(), ErrorKind::Data,
                 "damaged: no whole variable at byte");
    plain[128 + 8 + 16 + 4 + 3] = '\x40';  // the length of the dimensions: matio would ask for 8 GB
    expect_error("svhn:" + write("long.mat", plain).string(), ErrorKind::Data,
                 "damaged, or not a plain numeric array: the variable at byte 128");
    expect_error("svhn:" + write("no.mat", "not a mat file").string(), ErrorKind::Data, "no.mat: ");
    expect_error("svhn:" + (dir / "none.mat").string(), ErrorKind::Data, "cannot open");
}

TEST_F(Sets, NpyImages) {
    expect_known("npy:" + (given / "uint8.npy").string(), {std::nullopt, std::nullopt, std::nullopt});
    expect_known("npy:" + (given / "uint8_fortran.npy").string(), {std::nullopt, std::nullopt, std::nullopt});
    EXPECT_FALSE(open_image_set("npy:" + (given / "uint8.npy").string())->is_raw());
}

TEST_F(Sets, NpyArraysAreUsedAsTheyAre) {
    for (const char* name : {"float32.npy", "float32_big_endian.npy"}) {
        const auto set = open_image_set("npy:" + (given / name).string());
        ASSERT_TRUE(set->is_raw());
        ASSERT_EQ(set->size(), 2);
        for (int64_t n = 0; n < 2; ++n) {
            const RawInput raw = set->raw(n, set->bytes(n));
            ASSERT_EQ(raw.height, 4);
            ASSERT_EQ(raw.width, 6);
            ASSERT_EQ(raw.values.size(), 72u);
            const Image image = known(n);
            for (size_t y = 0; y < 4; ++y)
                for (size_t i = 0; i < 18; ++i)
                    EXPECT_EQ(raw.values[y * 18 + i], static_cast<float>(image.rgb[y * 96 + i]) / 8.0f)
                        << name;
        }
    }
    expect_error("npy:" + (given / "svhn_plain.mat").string(), ErrorKind::Data, "svhn_plain.mat");
    using namespace std::string_literals;
    const std::string header =
        "\x93NUMPY\1\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (1, 3, 1, 1), }"s;
    std::string doubles = header;
    doubles.resize(127, ' ');
    doubles += '\n' + std::string(24, '\0');
    expect_error("npy:" + write("f8.npy", doubles).string(), ErrorKind::Data,
                 "holds f8 [1, 3, 1, 1]; needed is float32 [N, 3, H, W] or uint8 [N, H, W, 3]");
}

}  // namespace
}  // namespace gs::test
