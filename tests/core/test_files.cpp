// Files that grow, and locks. (Atomic and mapped files are tested where they are used.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/files.h"
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

TEST(FileLock, IsHeldOnceAndFreeAfterwards) {
    const test::ScratchFile file({}, "");
    {
        const FileLock lock(file.path(), "taken");
        try {
            const FileLock second(file.path(), "taken");
            FAIL() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::Usage);
            EXPECT_EQ(error.what(), file.path() + ": taken");
        }
    }
    const FileLock again(file.path(), "taken");
}

TEST(FileLock, EndsWithItsProcess) {
    const test::ScratchFile file({}, "");
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        new FileLock(file.path(), "taken");  // never destroyed
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    const FileLock lock(file.path(), "taken");
}

}  // namespace
}  // namespace gs
