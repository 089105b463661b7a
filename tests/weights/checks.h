// What the tests of weights/ share beside builders.h.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/weights/builders.h"
#include "weights/weight_file.h"

namespace gs::testing_weights {

inline std::filesystem::path own_files() {
    return std::filesystem::path(GS_SOURCE_DIR) / "tests/weights/files";
}

// The message of the refusal, or "no error". Refusals are Error(Weights), one line, and name the file.
inline std::string error_of(const std::string& text, const ReadLimits& limits = {}) {
    try {
        const WeightFile file = read_weights_from_memory(bytes_of(text), "file.pth", limits);
        for (const StoredTensor& tensor : file.tensors)
            if (tensor.is_floating()) to_float32(tensor);
    } catch (const Error& error) {
        const std::string message = error.what();
        EXPECT_EQ(error.kind(), ErrorKind::Weights) << message;
        EXPECT_TRUE(message.starts_with("file.pth: ")) << message;
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
        return message;
    }
    return "no error";
}

}  // namespace gs::testing_weights
