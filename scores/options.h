// Reading a method's options, with the resolved values kept for the results.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "scores/score.h"

namespace gs {

class OptionReader {
  public:
    explicit OptionReader(const MethodSpec& spec) : spec_(spec) {}

    // A number in (low, high]; infinities are written "inf".
    double number(const std::string& key, double fallback, double low, double high);
    double number_from_zero(const std::string& key, double fallback);  // >= 0, finite
    std::string choice(const std::string& key, const std::string& fallback,
                       std::span<const std::string_view> choices);
    std::string text(const std::string& key, const std::string& fallback);
    // Throws Error(Usage) for options nobody asked for; returns all resolved ones.
    std::map<std::string, std::string> finish();

  private:
    const MethodSpec& spec_;
    std::map<std::string, std::string> resolved_;
    const std::string* given(const std::string& key) const;
    double parse(const std::string& key, const std::string& text) const;
    [[noreturn]] void fail(const std::string& what) const;
};

// The shortest decimal that reads back as the same double; "inf".
std::string format_number(double value);

}  // namespace gs
