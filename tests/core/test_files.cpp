// Files that grow, and locks. (Atomic and mapped files are tested where they are used.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/file_lock.h"
#include "core/files.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_file.h"

namespace gs {
namespace {

using testing::HasSubstr;

std::string content(const std::string& path) {
    const auto bytes = read_file(path, ErrorKind::Data);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(AppendFile, GrowsAndIsCut) {
    const test::ScratchFile file({}, "");
    {
        AppendFile log(file.path(), 0);
        log.write("one\n");
        log.write("two\n");
        log.sync();
        EXPECT_EQ(log.size(), 8);
    }
    AppendFile log(file.path(), 4);
    EXPECT_EQ(content(file.path()), "one\n");
    log.write("three\n");
    EXPECT_EQ(log.size(), 10);
    EXPECT_EQ(content(file.path()), "one\nthree\n");
}

// Nothing is written but what was named.
TEST(AppendFile, FollowsNoLink) {
    const test::ScratchFile file({}, ""), link({}, "");
    ASSERT_EQ(::unlink(file.path().c_str()), 0);
    ASSERT_EQ(::unlink(link.path().c_str()), 0);
    ASSERT_EQ(::symlink(file.path().c_str(), link.path().c_str()), 0);
    EXPECT_THAT(test::failure_of(ErrorKind::Internal, [&] { AppendFile(link.path(), 0); }),
                HasSubstr("cannot open"));
    EXPECT_NE(::access(file.path().c_str(), F_OK), 0);
}

TEST(AppendFile, IsNotCutLonger) {
    const test::ScratchFile file({}, "");
    AppendFile(file.path(), 0).write("abc");
    try {
        AppendFile log(file.path(), 4);
        FAIL() << "no error";
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::Data);
        EXPECT_THAT(error.what(), HasSubstr(file.path() + ": has 3 bytes where 4 were written"));
    }
    EXPECT_EQ(content(file.path()), "abc");
}

TEST(FileLock, IsHeldOnceAndGoneAfterwards) {
    const std::string path = test::ScratchFile({}, ".lock").path();
    {
        const FileLock lock(path, "gradscore (process 1)");
        EXPECT_EQ(content(path), "gradscore (process 1)");
        try {
            const FileLock second(path, "gradscore elsewhere");
            FAIL() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Usage);
            EXPECT_THAT(error.what(), HasSubstr(path + ": held by gradscore (process 1); wait for it"));
        }
        EXPECT_EQ(content(path), "gradscore (process 1)") << "the owner's name stays";
    }
    EXPECT_NE(::access(path.c_str(), F_OK), 0);
}

// A file of that name which somebody else has made since is not the lock's to remove.
TEST(FileLock, LeavesWhatIsNotItsOwn) {
    const std::string path = test::ScratchFile({}, ".lock").path(), aside = path + ".old";
    {
        const FileLock lock(path, "gradscore me");
        ASSERT_EQ(::rename(path.c_str(), aside.c_str()), 0);
        const FileLock other(path, "gradscore elsewhere");
        EXPECT_EQ(content(path), "gradscore elsewhere");
    }
    EXPECT_EQ(::unlink(aside.c_str()), 0);
}

// A file of the lock's name that somebody wrote, and what a link leads to, is neither emptied nor taken away.
TEST(FileLock, TouchesNothingThatIsNoLock) {
    const test::ScratchFile notes({}, ".lock");
    AppendFile(notes.path(), 0).write("my notes");
    EXPECT_THAT(test::failure_of(ErrorKind::Usage, [&] { FileLock(notes.path(), "gradscore me"); }),
                HasSubstr(notes.path() + ": stands where the lock"));
    EXPECT_THAT(test::failure_of(ErrorKind::Usage, [&] { require_free(notes.path()); }),
                HasSubstr("and is none"));
    EXPECT_EQ(content(notes.path()), "my notes");

    const test::ScratchFile empty({}, "");
    const std::string link = empty.path() + ".link";
    ASSERT_EQ(::symlink(empty.path().c_str(), link.c_str()), 0);
    EXPECT_THROW(FileLock(link, "gradscore me"), Error);
    EXPECT_EQ(content(empty.path()), "");
    EXPECT_EQ(::unlink(link.c_str()), 0);

    ASSERT_EQ(::mkfifo(link.c_str(), 0600), 0);
    EXPECT_THROW(FileLock(link, "gradscore me"), Error);
    EXPECT_EQ(::unlink(link.c_str()), 0);
    // What a killed process may leave.
    for (const char* left : {"", "grad", "gradscore of another day"}) {
        const test::ScratchFile file({}, ".lock");
        AppendFile(file.path(), 0).write(left);
        EXPECT_NO_THROW(FileLock(file.path(), "gradscore me")) << left;
    }
}

TEST(FileLock, EndsWithItsProcess) {
    const test::ScratchFile file({}, "");
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        new FileLock(file.path(), "gradscore of a child, whose name is longer");  // never destroyed
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    const FileLock lock(file.path(), "gradscore me");
    EXPECT_EQ(content(file.path()), "gradscore me");
}

TEST(Temporaries, OfKilledProcessesAreRemoved) {
    std::string folder = "/tmp/gs_temporaries_XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    // Others' files are not ours for having names like it.
    const std::vector<std::string> kept_files{"/a.csv", "/b.gradscore-tmpfile", "/.gradscore-tmpabcdef",
                                              "/notes.tmp123456", "/c.gradscore-tmpab-def"};
    for (const std::string& name : kept_files) write_file_atomically(folder + name, "x");
    {
        AtomicFile kept(folder + "/a.csv");
        kept.write("not yet");
        remove_temporaries(folder);  // as if it were a killed process's
        EXPECT_THROW(kept.commit(), Error);
    }
    EXPECT_EQ(content(folder + "/a.csv"), "x");
    for (const std::string& name : kept_files) EXPECT_EQ(::unlink((folder + name).c_str()), 0) << name;
    EXPECT_EQ(::rmdir(folder.c_str()), 0) << "something is left";
}

TEST(Paths, AreWithinTheFoldersThatTheyLeadInto) {
    for (const auto& [path, folder] : {std::pair{"a/b/c", "a/b"},
                                       {"a/b", "a/b/"},
                                       {"a/b/", "a/b"},
                                       {"./x/../a/b", "a"},
                                       {"/a", "/"},
                                       {"a", "."}})
        EXPECT_TRUE(is_within(path, folder)) << path << ' ' << folder;
    for (const auto& [path, folder] : {std::pair{"a/bc", "a/b"}, {"a", "a/b"}, {"a/../c", "a"}, {"/a", "b"}})
        EXPECT_FALSE(is_within(path, folder)) << path << ' ' << folder;
}

}  // namespace
}  // namespace gs
