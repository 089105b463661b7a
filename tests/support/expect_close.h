// Comparisons that fail when they should: on NaN, on a result that was never written, and on data that proves
// nothing. Errors are relative to the largest wanted magnitude; tolerance 0 means equal. A result that is
// stored as bfloat16 may besides be off by one rounding, 2^-8 of its own value; tolerance 0 then means equal
// to the wanted value rounded.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "core/bfloat16.h"
#include "tests/reference/tensor.h"

namespace gs::test {

enum class Rounding : uint8_t { None, Bf16 };

struct Tolerance {
    double of_largest = 0;
    Rounding rounding = Rounding::None;

    Tolerance(double relative, Rounding stored = Rounding::None)  // NOLINT: a number is a tolerance
        : of_largest(relative), rounding(stored) {}
    // How far a result may be from `wanted` where the largest wanted magnitude is `largest`.
    long double allows(long double wanted, long double largest) const {
        const bool rounds = rounding == Rounding::Bf16 && of_largest > 0;
        return static_cast<long double>(of_largest) * largest + (rounds ? 0x1p-8L * std::abs(wanted) : 0);
    }
    template <class Want>
    Want stored(Want wanted) const {
        if (rounding == Rounding::None || of_largest > 0) return wanted;
        return static_cast<Want>(static_cast<float>(Bf16(static_cast<float>(wanted))));
    }
};

// Empty where `got` agrees with `want`, else what is wrong. At least one wanted value in twenty must be
// non-zero.
template <class Want, class Got = float>
std::string difference(const std::vector<Got>& got, const std::vector<Want>& want, const Tolerance& tol) {
    std::ostringstream text;
    text.precision(9);
    if (got.size() != want.size()) {
        text << got.size() << " values, wanted " << want.size();
        return text.str();
    }
    long double largest = 0;
    size_t nonzero = 0;
    for (const Want value : want) {
        if (!std::isfinite(value)) return "the reference is not finite: the test is wrong";
        largest = std::max(largest, std::abs(static_cast<long double>(value)));
        nonzero += value != Want(0);
    }
    if (nonzero == 0 || nonzero * 20 < want.size()) {
        text << "proves nothing: " << nonzero << " of " << want.size() << " wanted values are not zero";
        return text.str();
    }
    for (size_t i = 0; i < got.size(); ++i) {
        const auto wanted = static_cast<long double>(tol.stored(want[i]));
        const long double error = std::abs(static_cast<long double>(got[i]) - wanted),
                          allowed = tol.allows(wanted, largest);
        if (!(error <= allowed)) {
            text << "[" << i << " of " << got.size() << "] is " << got[i] << ", wanted "
                 << static_cast<double>(wanted) << ": off by " << static_cast<double>(error / largest)
                 << " of the largest, allowed " << static_cast<double>(allowed / largest);
            return text.str();
        }
    }
    return {};
}

template <class Want, class Got = float>
void expect_close(const std::string& name, const std::vector<Got>& got, const std::vector<Want>& want,
                  const Tolerance& tol) {
    const std::string wrong = difference(got, want, tol);
    EXPECT_TRUE(wrong.empty()) << name << ": " << wrong;
}

template <class Want>
void expect_close(const std::string& name, const ref::Tensor<float>& got, const ref::Tensor<Want>& want,
                  const Tolerance& tol) {
    EXPECT_EQ(got.shape, want.shape) << name << ": " << to_string(got.shape) << ", wanted "
                                     << to_string(want.shape);
    expect_close(name, got.values, want.values, tol);
}

// Every row (n) judged against its own largest value: for rows of very different magnitude.
template <class Want>
void expect_rows_close(const std::string& name, const ref::Tensor<float>& got, const ref::Tensor<Want>& want,
                       const Tolerance& tol) {
    ASSERT_EQ(got.values.size(), want.values.size()) << name;
    const auto row = static_cast<std::ptrdiff_t>(want.shape.per_sample());
    for (int64_t n = 0; n < want.shape.n; ++n)
        expect_close(name + " row " + std::to_string(n),
                     std::vector<float>(got.values.begin() + n * row, got.values.begin() + (n + 1) * row),
                     std::vector<Want>(want.values.begin() + n * row, want.values.begin() + (n + 1) * row),
                     tol);
}

// The same bits, -0 and NaN included.
inline void expect_same_bits(const std::string& name, const std::vector<float>& got,
                             const std::vector<float>& want) {
    ASSERT_EQ(got.size(), want.size()) << name;
    for (size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(want[i]))
            << name << "[" << i << "] is " << got[i] << ", wanted " << want[i];
}

}  // namespace gs::test
