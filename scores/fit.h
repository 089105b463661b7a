// What a method learns from a set of images before it can score (`gradscore fit`), and what is kept of it. A
// Fit is fed the evidence of a set, or of a shard of one; its state is stored in a statistics file
// (scores/statistics.h), merged with the states of other shards, and read by the method's score.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "scores/score.h"

namespace gs {

// A dense array on the host, row-major.
struct Array {
    using Values =
        std::variant<std::vector<float>, std::vector<double>, std::vector<int64_t>, std::vector<uint8_t>>;
    std::vector<int64_t> shape;
    Values values;

    // The values as T; throws Error(Data) where the array holds another type.
    template <class T>
    const std::vector<T>& as() const;
};

// What one method's fit leaves. Names of arrays may hold '/'.
struct FitState {
    std::string method;                          // "mahalanobis"
    std::map<std::string, std::string> options;  // of the fit, defaults filled in
    std::map<std::string, Array> arrays;

    // Throws Error(Data) naming method and array where it is not there.
    const Array& array(const std::string& name) const;
};

class Fit {
  public:
    virtual ~Fit() = default;
    virtual Request request() const = 0;
    // The images it learns from, ascending indices of the set, from the labels of all of them (-1: none);
    // nothing: all. A shard of a set selects from the whole set and then takes its part, so that shards and
    // the whole agree.
    virtual std::optional<std::vector<int64_t>> select(std::span<const int64_t> /*labels*/) const {
        return std::nullopt;
    }
    // Throws Error(Data) where it cannot learn from a set that has an image of this label (-1: none).
    virtual void check_label(int64_t /*label*/) const {}
    // What the user should know before it learns from a set with these labels.
    virtual std::vector<std::string> notices(std::span<const int64_t> /*labels*/) const { return {}; }
    // Evidence of selected images in order of index, with their labels (-1: none). Throws Error(Data) where
    // the method cannot do without a label.
    virtual void add(const Evidence& evidence, std::span<const int64_t> labels) = 0;
    virtual FitState state() const = 0;
};

// Of an image that is learned from: one value that is not finite would spoil the whole fit. `what`: "logits".
// Throws Error(Data).
void require_finite(std::span<const float> values, const std::string& method, const std::string& what);

// By the table of methods (scores/score.cpp). Throws Error(Usage) for unknown methods.
bool needs_fit(const MethodSpec& spec);
// Throws Error(Usage) for methods that need no fit, unknown options and values out of range.
std::unique_ptr<Fit> make_fit(const MethodSpec& spec, const ScoreContext& context);
// States of consecutive shards of one set, in order, as one: what a fit of the whole set would have left, up
// to rounding. Throws Error(Usage) where they are of different methods or options.
FitState merge_states(std::span<const FitState> shards);
// For the state of a whole set: adds what scores derive from it, so that no run of them need (mahalanobis: an
// eigenvalue decomposition). Returns what the user should know. Throws Error(Usage) where the images do not
// determine it.
std::vector<std::string> complete_state(FitState& state);

}  // namespace gs
