#include "nets/weight_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/join.h"
#include "core/random.h"
#include "core/sums.h"

namespace gs {

std::string to_string(const std::vector<int64_t>& shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

namespace {

// "block12/…" -> "12", and "…" is what is left; nothing where `text` does not begin so.
std::string_view take_numbered(std::string_view& text, std::string_view word) {
    if (!text.starts_with(word)) return {};
    const size_t end = text.find_first_not_of("0123456789", word.size());
    if (end == word.size() || end == text.npos || text[end] != '/') return {};
    const std::string_view number = text.substr(word.size(), end - word.size());
    text.remove_prefix(end + 1);
    return number;
}

// "block1/unit01/a/standardized_conv2d/kernel" -> "body.block1.unit01.conv1.weight"; nothing for names that
// are not BiT's. Source: gradnorm_ood resnetv2.py load_from.
std::optional<std::string> bit_name(std::string name) {
    for (const std::string_view prefix : {"resnet/"})
        if (name.starts_with(prefix)) name.erase(0, prefix.size());
    if (name == "root_block/standardized_conv2d/kernel") return "root.conv.weight";
    if (name == "group_norm/gamma") return "before_head.gn.weight";
    if (name == "group_norm/beta") return "before_head.gn.bias";
    if (name == "head/conv2d/kernel") return "head.conv.weight";
    if (name == "head/conv2d/bias") return "head.conv.bias";
    std::string_view rest = name;
    const std::string_view block = take_numbered(rest, "block"), unit = take_numbered(rest, "unit");
    if (block.empty() || unit.empty() || rest.size() < 2 || rest[0] < 'a' || rest[0] > 'c' || rest[1] != '/')
        return std::nullopt;
    const std::string number(1, static_cast<char>('1' + (rest[0] - 'a')));
    rest.remove_prefix(2);
    const bool projection = rest.starts_with("proj/");
    if (projection) rest.remove_prefix(5);
    const bool kernel = rest == "standardized_conv2d/kernel", gamma = rest == "group_norm/gamma";
    if (!kernel && !gamma && rest != "group_norm/beta") return std::nullopt;
    const std::string stem = "body.block" + std::string(block) + ".unit" + std::string(unit) + ".";
    if (projection) return stem + "downsample.weight";
    if (kernel) return stem + "conv" + number + ".weight";
    return stem + "gn" + number + (gamma ? ".weight" : ".bias");
}

// [kh][kw][in][out] -> [out][in][kh][kw]
std::vector<float> from_hwio(const std::vector<float>& hwio, const std::vector<int64_t>& oihw) {
    std::vector<float> result(hwio.size());
    const int64_t out = oihw[0], in = oihw[1], taps = oihw[2] * oihw[3];
    for (int64_t t = 0; t < taps; ++t)
        for (int64_t i = 0; i < in; ++i)
            for (int64_t o = 0; o < out; ++o)
                result[static_cast<size_t>((o * in + i) * taps + t)] =
                    hwio[static_cast<size_t>((t * in + i) * out + o)];
    return result;
}

size_t elements(const std::vector<int64_t>& shape) {
    size_t n = 1;
    for (const int64_t d : shape) n *= static_cast<size_t>(d);
    return n;
}

// BatchNorm's count of batches, and of the nets that torch.optim.swa_utils.AveragedModel has averaged.
bool is_counter(std::string_view name) {
    return name.ends_with("num_batches_tracked") || name == "n_averaged" || name.ends_with(".n_averaged");
}

// The generator of the golden recipe weights: splitmix64 counted from a hash of the name, uniform values.
std::vector<float> draw(const std::string& name, const std::vector<int64_t>& shape, uint64_t seed) {
    const uint64_t key = stream(name) ^ (seed * 0xD1342543DE82EF95ull);
    double mean = 0, sd = 0;
    if (shape.size() > 1) {
        sd = std::sqrt(2.0 * static_cast<double>(shape[0]) / static_cast<double>(elements(shape)));
    } else if (name.ends_with("running_var") || name.ends_with(".weight")) {
        mean = 1;
        sd = 0.1;
    } else {
        sd = 0.1;
    }
    std::vector<float> values(elements(shape));
    for (size_t i = 0; i < values.size(); ++i) {
        const uint64_t drawn = Random::mix(key + (i + 1) * Random::kStep);
        const double u = static_cast<double>(drawn >> 11) * 0x1p-53;
        values[i] = static_cast<float>(mean + sd * std::sqrt(3.0) * (2 * u - 1));
    }
    return values;
}

}  // namespace

WeightReader::WeightReader(const WeightFile& file) : path_(file.path.string()) {
    for (const StoredTensor& tensor : file.tensors) {
        const std::optional<std::string> bit = file.format == "npz" ? bit_name(tensor.name) : std::nullopt;
        Entry entry{&tensor, tensor.shape, bit.has_value() && tensor.shape.size() == 4};
        if (entry.hwio) entry.shape = {tensor.shape[3], tensor.shape[2], tensor.shape[0], tensor.shape[1]};
        stored_elements_ += elements(tensor.shape);
        const std::string name = bit.value_or(tensor.name);
        if (!tensors_.emplace(name, std::move(entry)).second)
            faults_.push_back("two tensors are " + name + ", the second is called " + tensor.name);
    }
}

WeightReader::WeightReader(uint64_t seed)
    : source_([seed](const std::string& name, const std::vector<int64_t>& shape) {
          return draw(name, shape, seed);
      }) {}

std::optional<std::vector<int64_t>> WeightReader::shape(std::string_view name) const {
    const auto it = tensors_.find(name);
    if (it == tensors_.end()) return std::nullopt;
    return it->second.shape;
}

const StoredTensor& WeightReader::stored(std::string_view name) const {
    const auto it = tensors_.find(name);
    GS_REQUIRE(it != tensors_.end());
    return *it->second.tensor;
}

bool WeightReader::is_transposed(std::string_view name) const {
    const auto it = tensors_.find(name);
    return it != tensors_.end() && it->second.hwio;
}

std::vector<std::string> WeightReader::names(std::string_view prefix) const {
    std::vector<std::string> found;
    for (auto it = tensors_.lower_bound(prefix); it != tensors_.end() && it->first.starts_with(prefix); ++it)
        found.push_back(it->first);
    return found;
}

int64_t WeightReader::count(std::string_view prefix) const {
    int64_t highest = 0;
    for (const std::string& name : names(prefix)) {
        int64_t number = 0;
        const char* first = name.data() + prefix.size();
        const auto [end, error] = std::from_chars(first, name.data() + name.size(), number);
        constexpr int64_t kAbsurd = 1'000'000;  // guess_architecture() refuses far less
        if (error == std::errc() && end != name.data() + name.size() && *end == '.')
            highest = std::max(highest, std::min(number, kAbsurd) + 1);
    }
    return highest;
}

std::vector<float> WeightReader::take(const std::string& name, const std::vector<int64_t>& shape) {
    if (source_) return source_(name, shape);
    const auto it = tensors_.find(name);
    if (it == tensors_.end()) return substitute("missing " + name + " " + to_string(shape), shape);
    it->second.taken = true;
    // A 1x1 kernel may be stored as the matrix it is.
    const std::vector<int64_t>& stored = it->second.shape;
    const bool squeezed = stored.size() == 2 && shape.size() == 4 && stored[0] == shape[0] &&
                          stored[1] == shape[1] && shape[2] == 1 && shape[3] == 1;
    if (stored != shape && !squeezed)
        return substitute(name + " is " + to_string(stored) + ", needed " + to_string(shape), shape);
    std::vector<float> values = to_float32(*it->second.tensor);
    // A sum is finite exactly where all values are (no float32 sum in float64 overflows).
    if (!std::isfinite(lane_sum(values, [](float v) { return v; }))) nonfinite_.push_back(name);
    return it->second.hwio ? from_hwio(values, shape) : values;
}

void WeightReader::leave(const std::string& name) {
    if (const auto it = tensors_.find(name); it != tensors_.end()) it->second.taken = true;
}

// What fills in is bounded by what the file holds, or a small file could ask for any amount of memory.
std::vector<float> WeightReader::substitute(std::string fault, const std::vector<int64_t>& shape) {
    note_fault(std::move(fault));
    constexpr double kSlack = 1 << 24;
    double wanted = 1;
    for (const int64_t d : shape) wanted *= static_cast<double>(d);
    substituted_ += wanted;
    if (substituted_ > static_cast<double>(stored_elements_) + kSlack)
        throw Error(ErrorKind::Weights,
                    path_ + ": weights do not fit the net: " + join_first(faults_) + " …");
    return std::vector<float>(elements(shape));
}

void WeightReader::check_names() const {
    if (!faults_.empty()) throw Error(ErrorKind::Weights, path_ + ": " + join_first(faults_));
}

std::string WeightReader::nonfinite() const {
    return join_first(nonfinite_);
}

void WeightReader::finish(bool allow_nonfinite, const std::string& remedy) {
    std::vector<std::string> extra;
    for (const auto& [name, entry] : tensors_)
        if (!entry.taken && !is_counter(name)) extra.push_back(name);
    std::string message;
    if (!faults_.empty()) message += "weights do not fit the net: " + join_first(faults_);
    if (!extra.empty())
        message += (message.empty() ? "" : "; ") + ("tensors the net does not have: " + join_first(extra));
    if (!nonfinite_.empty() && !allow_nonfinite)
        message +=
            (message.empty() ? "" : "; ") + ("NaN or infinite values in " + join_first(nonfinite_)) + remedy;
    if (!message.empty()) throw Error(ErrorKind::Weights, path_ + ": " + message);
}

}  // namespace gs
