// A net's parameters by the reference's PyTorch names and shapes, whatever file they come from; keeps account
// of what was missing, misshapen or left over. Without a file it draws them (benchmarks).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weights/weight_file.h"

namespace gs {

class WeightReader {
  public:
    // BiT's .npz names and HWIO kernels are mapped to those of the .pth.tar (docs/nets/bit.md).
    explicit WeightReader(const WeightFile& file);
    // Draws every tensor that is asked for, by name and seed.
    explicit WeightReader(uint64_t seed);
    // Takes every tensor, (name, shape), from a function.
    using Source = std::function<std::vector<float>(const std::string&, const std::vector<int64_t>&)>;
    explicit WeightReader(Source source) : source_(std::move(source)) {}

    const std::string& path() const { return path_; }
    bool has(std::string_view name) const { return tensors_.find(name) != tensors_.end(); }
    // Shape in PyTorch's order, or nothing.
    std::optional<std::vector<int64_t>> shape(std::string_view name) const;
    // As the file has it; `name` must be there.
    const StoredTensor& stored(std::string_view name) const;
    // Stored as height x width x in x out, as BiT's .npz are: shape() and take() have it in PyTorch's order.
    bool is_transposed(std::string_view name) const;
    // Names with this prefix, sorted.
    std::vector<std::string> names(std::string_view prefix = "") const;
    // Highest number + 1 of PREFIX.<number>. among the names; 0 where there is none.
    int64_t count(std::string_view prefix) const;

    // float32, row-major, PyTorch's order. Where the tensor is missing or of another shape the fault is noted
    // and zeros come back, so that one run lists all faults; throws where those would be many times the file.
    std::vector<float> take(const std::string& name, const std::vector<int64_t>& shape);
    // The file's tensor of this name, if any, is not wanted: no left-over.
    void leave(const std::string& name);
    // Throws Error(Weights) where two of the file's names are one tensor's.
    void check_names() const;
    // Tensors taken that hold NaN or infinite values, as a list; "" where there are none.
    std::string nonfinite() const;
    void note_fault(std::string fault) { faults_.push_back(std::move(fault)); }
    // Throws Error(Weights) listing all faults and left-over tensors. Counters of BatchNorm and of averaged
    // weights are no left-overs. `remedy` ends the message on values that are not finite.
    void finish(bool allow_nonfinite, const std::string& remedy = "");

  private:
    struct Entry {
        const StoredTensor* tensor;
        std::vector<int64_t> shape;
        bool hwio;
        bool taken = false;
    };
    std::string path_ = "weights";
    std::map<std::string, Entry, std::less<>> tensors_;
    Source source_;
    std::vector<std::string> faults_, nonfinite_;
    size_t stored_elements_ = 0;
    double substituted_ = 0;  // elements of the zeros that came back so far
    std::vector<float> substitute(std::string fault, const std::vector<int64_t>& shape);
};

// "[64, 3, 7, 7]"
std::string to_string(const std::vector<int64_t>& shape);

}  // namespace gs
