// Reading a method's options, with the resolved values kept for the results.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scores/score.h"

namespace gs {

class OptionReader {
  public:
    explicit OptionReader(const MethodSpec& spec) : spec_(spec) {}

    // A number in (low, high]; infinities are written "inf".
    double number(const std::string& key, double fallback, double low, double high);
    // Option "temperature", in (1e-30, 1e30]: float32 holds it and its reciprocal.
    double temperature(double fallback);
    double number_from_zero(const std::string& key, double fallback);  // in [0, 1e30]
    // One number for each of `fallback`'s, joined by '+', or a single one for all.
    std::vector<double> numbers(const std::string& key, const std::vector<double>& fallback, double low,
                                double high);  // each in (low, high]
    std::vector<int64_t> whole_numbers(const std::string& key, const std::vector<int64_t>& fallback,
                                       int64_t low, int64_t high);  // each in [low, high]
    int64_t whole_number(const std::string& key, int64_t fallback, int64_t low, int64_t high);
    std::string choice(const std::string& key, const std::string& fallback,
                       std::span<const std::string_view> choices);
    std::string text(const std::string& key, const std::string& fallback);
    // Throws Error(Usage) for options nobody asked for; returns all resolved ones.
    std::map<std::string, std::string> finish();
    // Throws Error(Usage) naming the method.
    [[noreturn]] void fail(const std::string& what) const;

  private:
    const MethodSpec& spec_;
    std::map<std::string, std::string> resolved_;
    const std::string* given(const std::string& key) const;
    std::vector<double> parse_list(const std::string& key, const std::vector<double>& fallback) const;
    double parse(const std::string& key, const std::string& text) const;
};

}  // namespace gs
