// The folder with the real weights, images and golden values, where a checkout has one beside it, or where
// GRADSCORE_SHARED names it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

namespace gs::test {

inline std::optional<std::filesystem::path> shared_dir() {
    const char* named = std::getenv("GRADSCORE_SHARED");
    const std::filesystem::path folder =
        named ? std::filesystem::path(named) : std::filesystem::path(GS_SOURCE_DIR) / ".." / "shared";
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error)) return std::nullopt;
    return std::filesystem::canonical(folder);
}

}  // namespace gs::test

// For the top of a test that needs it.
#define GS_SKIP_WITHOUT_SHARED() \
    if (!::gs::test::shared_dir()) GTEST_SKIP() << "needs the folder ../shared, which is not here"
