// Every kind of image set: good ones, odd ones, and what is said of bad ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <matio.h>
#include <sys/stat.h>

#include <cstring>

#include "data/image_concat.h"
#include "data/image_set.h"
#include "tests/data/expected.h"

namespace gs::test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

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

Image image_of(const ImageSet& set, int64_t index) {
    return set.decode(index, set.bytes(index), {});
}

// The images of make_sets.py.
Image known(int64_t n) {
    Image image{32, 32, {}};
    for (int64_t y = 0; y < 32; ++y)
        for (int64_t x = 0; x < 32; ++x)
            for (int64_t c = 0; c < 3; ++c)
                image.rgb.push_back(static_cast<uint8_t>((n * 80 + y * 7 + x * 3 + c * 40) % 256));
    return image;
}

std::string planes(int64_t n, bool columns_first) {
    const Image image = known(n);
    std::string bytes;
    for (size_t c = 0; c < 3; ++c)
        for (size_t i = 0; i < 32; ++i)
            for (size_t j = 0; j < 32; ++j)
                bytes += static_cast<char>(image.rgb[(columns_first ? j * 32 + i : i * 32 + j) * 3 + c]);
    return bytes;
}

void expect_known(const std::string& spec, const std::vector<std::optional<int64_t>>& labels) {
    SCOPED_TRACE(spec);
    const auto set = open_image_set(spec);
    ASSERT_EQ(set->size(), static_cast<int64_t>(labels.size()));
    for (int64_t i = 0; i < set->size(); ++i) {
        EXPECT_EQ(image_of(*set, i).rgb, known(i).rgb) << i;
        EXPECT_EQ(set->item(i).label, labels[static_cast<size_t>(i)]);
        EXPECT_EQ(set->item(i).path, "index " + std::to_string(i));
    }
}

void expect_error(const std::string& spec, ErrorKind kind, const std::string& part) {
    try {
        open_image_set(spec);
        ADD_FAILURE() << spec << " was opened";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), kind) << error.what();
        EXPECT_THAT(error.what(), HasSubstr(part));
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
}

std::vector<std::string> paths(const ImageSet& set) {
    std::vector<std::string> all;
    for (int64_t i = 0; i < set.size(); ++i) all.push_back(set.item(i).path);
    return all;
}

TEST_F(Sets, Specs) {
    copy_image("jpeg_1x1.jpg", "v1.2/a.jpg");
    const auto unnamed = open_image_set("folder:" + (dir / "v1.2").string() + "/");
    EXPECT_EQ(unnamed->name(), "v1.2");
    const auto named = open_image_set("my=folder:" + (dir / "v1.2").string());
    EXPECT_EQ(named->name(), "my");
    EXPECT_EQ(named->description(), "folder:" + (dir / "v1.2").string());
    EXPECT_EQ(open_image_set("svhn:" + (given / "svhn_plain.mat").string())->name(), "svhn_plain");
    expect_error("nonsense", ErrorKind::Usage, "[NAME=]KIND:PATH");
    expect_error("x=zip:a", ErrorKind::Usage, "no kind 'zip'; there are folder, list,");
    expect_error("folder:", ErrorKind::Usage, "path is missing");
    expect_error("a/b=folder:" + dir.string(), ErrorKind::Usage, "'a/b' cannot be a set's name");
    expect_error("..=folder:" + dir.string(), ErrorKind::Usage, "cannot be a set's name");
    expect_error("folder:" + (dir / "nowhere").string(), ErrorKind::Data, "nowhere: cannot read the folder");
}

TEST_F(Sets, FolderIsSortedBytewiseAndLabelledByTopFolder) {
    copy_image("jpeg_1x1.jpg", "f/b/x.jpg");
    copy_image("jpeg_420.jpg", "f/a/deep/y.JPEG");
    copy_image("png_c2_d8.png", "f/a/Z.png");
    copy_image("jpeg_1x1.jpg", "f/a.jpg");
    copy_image("jpeg_1x1.jpg", "f/B/x.jpg");
    write("f/a/readme.txt", "no image");
    write("f/c/only.txt", "no image, no class");
    fs::create_directory_symlink(dir / "f", dir / "f/a/loop");
    const auto set = open_image_set("folder:" + (dir / "f").string());
    EXPECT_THAT(paths(*set), ElementsAre("B/x.jpg", "a.jpg", "a/Z.png", "a/deep/y.JPEG", "b/x.jpg"));
    EXPECT_EQ(set->item(0).label, 0);
    EXPECT_EQ(set->item(1).label, std::nullopt);
    EXPECT_EQ(set->item(2).label, 1);
    EXPECT_EQ(set->item(3).label, 1);
    EXPECT_EQ(set->item(4).label, 2);
    EXPECT_THAT(set->notices(),
                ElementsAre("2 files of other kinds ignored", "1 link to an enclosing folder not followed"));
    EXPECT_EQ(result(image_of(*set, 3)).size, "83x61");
}

TEST_F(Sets, FolderFollowsLinksToOtherPlaces) {
    copy_image("jpeg_1x1.jpg", "elsewhere/x.jpg");
    fs::create_directory(dir / "f");
    fs::create_directory_symlink(dir / "elsewhere", dir / "f/one");
    fs::create_directory_symlink(dir / "elsewhere", dir / "f/two");
    fs::create_symlink(dir / "nowhere.jpg", dir / "f/dangling.jpg");
    const auto set = open_image_set("folder:" + (dir / "f").string());
    EXPECT_THAT(paths(*set), ElementsAre("one/x.jpg", "two/x.jpg"));
}

// Ten folders, each with links to all the others: three million ways.
TEST_F(Sets, FolderThatIsAWebOfLinksIsRefused) {
    const fs::path web = dir / "web";
    for (int i = 0; i < 10; ++i) {
        const fs::path folder = web / std::to_string(i);
        fs::create_directories(folder);
        for (int j = 0; j < 10; ++j)
            if (j != i)
                fs::create_directory_symlink("../" + std::to_string(j), folder / ("to" + std::to_string(j)));
    }
    expect_error("folder:" + web.string(), ErrorKind::Data, "in more than 1000 ways");
}

// Pipes and devices are no images, and reading one would wait for ever, or never end.
TEST_F(Sets, PipesAndDevicesAreNotRead) {
    const fs::path folder = dir / "odd";
    copy_image("jpeg_1x1.jpg", "odd/good.jpg");
    ASSERT_EQ(::mkfifo((folder / "pipe.png").c_str(), 0600), 0);
    fs::create_symlink("/dev/zero", folder / "zeros.png");
    fs::create_symlink("nowhere", folder / "dangling.png");
    const auto set = open_image_set("folder:" + folder.string());
    EXPECT_EQ(set->size(), 1);
    EXPECT_THAT(set->notices(), ElementsAre("3 files of other kinds ignored"));
    write("odd.txt", "pipe.png\nzeros.png\ngood.jpg\n");
    const auto list = open_image_set("list:" + (dir / "odd.txt").string() + ":root=" + folder.string());
    for (const int64_t i : {0, 1}) try {
            list->bytes(i);
            FAIL() << "it was read";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Data);
            EXPECT_THAT(error.what(), HasSubstr("not a regular file"));
        }
}

TEST_F(Sets, FolderWithoutImages) {
    write("f/readme.txt", "");
    expect_error("folder:" + (dir / "f").string(), ErrorKind::Data,
                 "no .jpg, .jpeg or .png files in this folder (1 file");
    expect_error("folder:" + (dir / "f/readme.txt").string(), ErrorKind::Data,
                 "cannot read the folder: Not a directory");
}

TEST_F(Sets, BrokenImageIsNamed) {
    copy_image("jpeg_truncated.jpg", "f/a/x.jpg");
    const auto set = open_image_set("folder:" + (dir / "f").string());
    try {
        image_of(*set, 0);
        FAIL();
    } catch (const Error& error) {
        EXPECT_STREQ(error.what(), "a/x.jpg: truncated JPEG");
        EXPECT_EQ(error.kind(), ErrorKind::Data);
    }
    fs::remove(dir / "f/a/x.jpg");
    EXPECT_THROW(set->bytes(0), Error);
}

TEST_F(Sets, ListWithLabels) {
    const fs::path absolute = copy_image("jpeg_1x1.jpg", "abs olute.jpg");
    copy_image("png_c2_d8.png", "sub/with space.png");
    const auto list = write("l/list.txt", "\xef\xbb\xbf# comment\n\n../sub/with space.png 7\r\n   " +
                                              absolute.string() + " \t -1\n  ../sub/with space.png  12  ");
    const auto set = open_image_set("list:" + list.string());
    EXPECT_EQ(set->name(), "list");
    EXPECT_THAT(paths(*set),
                ElementsAre("../sub/with space.png", absolute.string(), "../sub/with space.png"));
    EXPECT_EQ(set->item(0).label, 7);
    EXPECT_EQ(set->item(1).label, std::nullopt);
    EXPECT_EQ(set->item(2).label, 12);
    EXPECT_EQ(result(image_of(*set, 0)).size, "19x11");
    EXPECT_EQ(result(image_of(*set, 1)).size, "1x1");
}

TEST_F(Sets, ListWithoutLabelsAndWithRoot) {
    copy_image("png_c2_d8.png", "root:odd/with space.png");
    const auto list = write("list.txt", "with space.png\nmissing.png\n");
    const auto set = open_image_set("list:" + list.string() + ":root=" + (dir / "root:odd").string());
    EXPECT_THAT(paths(*set), ElementsAre("with space.png", "missing.png"));
    EXPECT_EQ(set->item(0).label, std::nullopt);
    EXPECT_EQ(result(image_of(*set, 0)).size, "19x11");
    EXPECT_THROW(set->bytes(1), Error);
}

TEST_F(Sets, BadLists) {
    expect_error("list:" + write("mixed.txt", "a.png 1\nb.png 2\n\nc.png\n").string(), ErrorKind::Data,
                 "mixed.txt:4: the line does not end in a label");
    expect_error("list:" + write("huge.txt", "a.png 1\nb.png 99999999999999999999\n").string(),
                 ErrorKind::Data, "huge.txt:2:");
    expect_error("list:" + write("zero.txt", std::string("a.png 1\nb\0c 2\n", 14)).string(), ErrorKind::Data,
                 "zero.txt:2: a zero byte");
    expect_error("list:" + write("empty.txt", "# nothing\n").string(), ErrorKind::Data, "no images");
    expect_error("list:" + (dir / "none.txt").string(), ErrorKind::Data, "cannot open");
    expect_error("list:" + dir.string(), ErrorKind::Data, "is a folder");
}

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
    EXPECT_EQ(kept("1\r\n7\r\n"), "12345");
    EXPECT_EQ(kept("79302017\n6"), "012346");
    EXPECT_EQ(kept(""), "0123456");
    expect_error(tiny + write("skip.txt", "5\n0\n").string(), ErrorKind::Data, "skip.txt:2: not the number");
    expect_error(tiny + write("skip.txt", "5,6").string(), ErrorKind::Data, "skip.txt:1: not the number");
    expect_error(tiny + (dir / "absent").string(), ErrorKind::Data, "absent: cannot open");
    expect_error(tiny + write("skip.txt", "1\n2\n3\n4\n5\n6\n7\n").string(), ErrorKind::Data, "no images");
}

TEST_F(Sets, ListOfGroupsAndClasses) {
    const auto list = write("group.txt", "a b.jpg 0 0\nc.jpg 0 2\nd.jpg 1 0\ne.jpg\t2\t1\n");
    const auto set = open_image_set("list:" + list.string() + ":groups=3+1+2");
    ASSERT_EQ(set->size(), 4);
    EXPECT_EQ(set->item(0).path, "a b.jpg");
    EXPECT_EQ(set->item(3).path, "e.jpg");
    for (const auto& [index, label] : {std::pair{0, 0}, {1, 2}, {2, 3}, {3, 5}})
        EXPECT_EQ(set->item(index).label, label) << index;
    const std::string spec = "list:" + list.string();
    expect_error(spec + ":groups=2+1+2", ErrorKind::Data, "group.txt:2: there is no class 2 of group 0");
    expect_error(spec + ":groups=3+1", ErrorKind::Data, "group.txt:4: there is no class 1 of group 2");
    expect_error(spec + ":groups=3+x", ErrorKind::Usage, "groups=3+x: write the classes of each group");
    expect_error("list:" + write("flat.txt", "a.jpg 3\n").string() + ":groups=9", ErrorKind::Data,
                 "flat.txt:1: the line does not end in a group and a class");
    expect_error("list:" + write("bare.txt", "a.jpg\n").string() + ":groups=9", ErrorKind::Data,
                 "bare.txt:1: the line does not end in a group and a class");
}

TEST_F(Sets, OneAfterTheOther) {
    std::vector<std::unique_ptr<ImageSet>> parts;
    parts.push_back(open_image_set("a=synthetic:2:size=4", 1));
    parts.push_back(open_image_set("b=tiny-images:" + write("t", planes(0, true)).string()));
    parts.push_back(open_image_set("c=synthetic:1:size=5", 2));
    const ImageConcat all(std::move(parts));
    ASSERT_EQ(all.size(), 4);
    EXPECT_EQ(all.name(), "a+b+c");
    const auto side = [&](int64_t i) { return all.decode(i, all.bytes(i), {}).width; };
    EXPECT_EQ((std::vector{side(0), side(1), side(2), side(3)}), (std::vector<int64_t>{4, 4, 32, 5}));
    EXPECT_EQ(all.item(1).path, "index 1");
    EXPECT_EQ(all.item(3).path, "index 0");
    EXPECT_EQ(all.bytes(1), open_image_set("synthetic:2:size=4", 1)->bytes(1));
}

// Writes an SVHN file with matio: the version 7.3 is HDF5, which scipy cannot write.
void write_mat(const fs::path& path, mat_ft version, matio_classes type, std::vector<size_t> dims,
               size_t labels) {
    std::string pixels;
    for (int64_t n = 0; n < 3; ++n) pixels += planes(n, true);
    std::vector<uint8_t> y{5, 10, 1};
    const auto type_of_data = type == MAT_C_UINT8 ? MAT_T_UINT8 : MAT_T_INT8;
    mat_t* file = Mat_CreateVer(path.c_str(), nullptr, version);
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
    write_mat(dir / "v73.mat", MAT_FT_MAT73, MAT_C_UINT8, {32, 32, 3, 3}, 3);
    expect_known("svhn:" + (dir / "v73.mat").string(), {5, 0, 1});
    write_mat(dir / "one.mat", MAT_FT_MAT5, MAT_C_UINT8, {32, 32, 3}, 1);
    expect_known("svhn:" + (dir / "one.mat").string(), {5});
}

TEST_F(Sets, BadSvhn) {
    write_mat(dir / "labels.mat", MAT_FT_MAT5, MAT_C_UINT8, {32, 32, 3, 3}, 2);
    expect_error("svhn:" + (dir / "labels.mat").string(), ErrorKind::Data,
                 "y does not have a label for each image");
    write_mat(dir / "signed.mat", MAT_FT_MAT5, MAT_C_INT8, {32, 32, 3, 3}, 3);
    expect_error("svhn:" + (dir / "signed.mat").string(), ErrorKind::Data, "its X is something else");
    write_mat(dir / "shape.mat", MAT_FT_MAT5, MAT_C_UINT8, {3, 32, 32, 3}, 3);
    expect_error("svhn:" + (dir / "shape.mat").string(), ErrorKind::Data,
                 "its X is something else; needed are SVHN's X uint8 [32, 32, 3, N]");
    std::string hdf = "MATLAB 7.3";
    hdf.resize(124, ' ');
    hdf += std::string("\0\2IM", 4) + std::string(384, '\0') + "\x89HDF\r\n\x1a\n" + std::string(500, '\1');
    testing::internal::CaptureStderr();
    expect_error("svhn:" + write("hdf.mat", hdf).string(), ErrorKind::Data, "hdf.mat: ");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
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

TEST_F(Sets, Synthetic) {
    const auto a = open_image_set("synthetic:20", 1), b = open_image_set("synthetic:20", 2);
    EXPECT_EQ(a->name(), "synthetic");
    EXPECT_EQ(a->size(), 20);
    EXPECT_EQ(result(image_of(*a, 19)).size, "224x224");
    EXPECT_EQ(a->bytes(7), open_image_set("synthetic:9", 1)->bytes(7));
    EXPECT_NE(a->bytes(7), a->bytes(8));
    EXPECT_NE(a->bytes(7), b->bytes(7));
    const auto small = open_image_set("s=synthetic:2:size=31");
    EXPECT_EQ(result(image_of(*small, 1)).size, "31x31");
    expect_error("synthetic:0", ErrorKind::Usage, "'0' is no number from 1 to");
    expect_error("synthetic:many", ErrorKind::Usage, "'many' is no number");
    expect_error("synthetic:3:size=9999999", ErrorKind::Usage, "1 to 4096");
}

}  // namespace
}  // namespace gs::test
