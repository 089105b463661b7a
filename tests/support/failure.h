// What a call says that must fail.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"

namespace gs::test {

// Its message, one line as promised, of an Error of that kind; "no error" where there is none.
inline std::string failure_of(ErrorKind kind, const auto& call) {
    try {
        call();
    } catch (const Error& error) {
        EXPECT_EQ(error.kind(), kind) << error.what();
        EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
        return error.what();
    }
    return "no error";
}

}  // namespace gs::test
