// Sets of image files, folders and lists, sets one after the other, drawn ones: good, odd, and what is said
// of bad ones.
#include <sys/stat.h>

#include "data/image_concat.h"
#include "tests/data/set_files.h"
#include "tests/support/failure.h"

namespace gs::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

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
    EXPECT_THAT(set->class_names(), ElementsAre("B", "a", "b"));
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
    EXPECT_THAT(paths(*set), ElementsAre("dangling.jpg", "one/x.jpg", "two/x.jpg"));
    EXPECT_THAT(test::failure_of(ErrorKind::Data, [&] { set->bytes(0); }),
                HasSubstr("dangling.jpg: cannot open"))
        << "an image that is not there is told, not passed over";
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
    const auto set = open_image_set("folder:" + folder.string());
    EXPECT_EQ(set->size(), 1);
    EXPECT_THAT(set->notices(), ElementsAre("2 files of other kinds ignored"));
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
