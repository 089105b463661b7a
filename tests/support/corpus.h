// The fuzz targets' seeds in ordinary runs: each is read, and each cut or changed anywhere is read or
// refused.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/files.h"

namespace gs::test {

// `read` throws Error(refusal) for what it refuses.
inline void replay(const std::string& corpus, ErrorKind refusal,
                   const std::function<void(std::string_view)>& read) {
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(GS_SOURCE_DIR) /
                                                                 "tests/fuzz/corpus" / corpus)) {
        SCOPED_TRACE(entry.path().string());
        const auto bytes = read_file(entry.path(), ErrorKind::Data);
        const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        EXPECT_NO_THROW(read(text));
        const auto try_one = [&](const std::string& damaged) {
            try {
                read(damaged);
            } catch (const Error& e) {
                EXPECT_EQ(e.kind(), refusal) << e.what();
            }
        };
        for (size_t k = 0; k < text.size(); ++k) {
            try_one(text.substr(0, k));
            std::string flipped = text;
            flipped[k] = char(flipped[k] ^ (1 << (k % 8)));
            try_one(flipped);
        }
        ++files;
    }
    EXPECT_GE(files, 1);
}

}  // namespace gs::test
