#include "train/checkpoint.h"

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/join.h"
#include "core/numbers.h"

namespace gs::train {
namespace {

constexpr std::string_view kFormatKey = "format", kFormat = "gradscore/checkpoint/1";
constexpr std::string_view kIdentity = "started-with/", kCircumstances = "made-with/", kState = "state/";
constexpr std::string_view kWeights = "weights/", kOptimiser = "optimizer/";

// Every field of the state by its name, for writing and reading alike.
template <class State, class Visit>
void visit_fields(State& state, const Visit& visit) {
    const auto tally = [&](const std::string& name, auto& t) {
        visit(name + "-loss", t.loss);
        visit(name + "-images", t.images);
        visit(name + "-correct", t.correct);
    };
    visit("step", state.step);
    tally("epoch", state.epoch);
    tally("interval", state.interval);
    visit("log-bytes", state.log_bytes);
    visit("seconds", state.seconds);
    visit("best-epoch", state.best_epoch);
}

// Present where there are any.
constexpr const char *kBestAccuracy = "best-accuracy", *kUnusable = "unusable";

std::map<std::string, std::string> metadata_of(const Checkpoint& checkpoint) {
    std::map<std::string, std::string> metadata{{std::string(kFormatKey), std::string(kFormat)}};
    for (const auto& [name, value] : checkpoint.identity) metadata[std::string(kIdentity) + name] = value;
    for (const auto& [name, value] : checkpoint.circumstances)
        metadata[std::string(kCircumstances) + name] = value;
    const auto put = [&](const std::string& name, const auto& value) {
        metadata[std::string(kState) + name] = shortest(value);
    };
    visit_fields(checkpoint.state, put);
    if (checkpoint.state.best_accuracy) put(kBestAccuracy, *checkpoint.state.best_accuracy);
    if (!checkpoint.state.unusable.empty())
        metadata[std::string(kState) + kUnusable] = join(checkpoint.state.unusable, "\n");
    return metadata;
}

[[noreturn]] void fail(const WeightFile& file, const std::string& what) {
    throw Error(ErrorKind::Weights, file.path.string() + ": not a checkpoint of gradscore train: " + what);
}

template <class Number>
void parse(const WeightFile& file, const std::string& name, Number& value) {
    const auto found = file.metadata.find(std::string(kState) + name);
    if (found == file.metadata.end()) fail(file, "'" + name + "' is missing");
    const auto parsed = parse_number<Number>(found->second);
    if (!parsed || *parsed < 0 || !std::isfinite(static_cast<double>(*parsed)))
        fail(file, "'" + name + "' is no number from 0 on");
    value = *parsed;
}

RunState state_of(const WeightFile& file) {
    RunState state;
    visit_fields(state, [&](const std::string& name, auto& value) { parse(file, name, value); });
    if (file.metadata.contains(std::string(kState) + kBestAccuracy))
        parse(file, kBestAccuracy, state.best_accuracy.emplace());
    if (const auto found = file.metadata.find(std::string(kState) + kUnusable); found != file.metadata.end())
        for (std::string& image : split(found->second, '\n')) state.unusable.insert(std::move(image));
    return state;
}

void append(std::vector<NamedTensor>& tensors, std::string_view prefix, const std::vector<Array>& arrays) {
    for (const Array& array : arrays)
        tensors.push_back({std::string(prefix) + array.name, StoredType::F32, array.shape,
                           std::as_bytes(std::span(array.values))});
}

void require_finite(const std::vector<Array>& arrays) {
    for (const Array& array : arrays)
        for (const float value : array.values)
            if (!std::isfinite(value))
                throw Error(ErrorKind::Internal,
                            "'" + array.name +
                                "' has become NaN or infinite; no checkpoint is written of that, "
                                "an earlier one stays; try a smaller --learning-rate");
}

}  // namespace

void Tally::add(double mean_loss, int64_t count, int64_t right) {
    loss += mean_loss * static_cast<double>(count);
    images += count;
    correct += right;
}

double Tally::mean_loss() const {
    return images > 0 ? loss / static_cast<double>(images) : std::numeric_limits<double>::quiet_NaN();
}

double Tally::accuracy() const {
    return images > 0 ? static_cast<double>(correct) / static_cast<double>(images)
                      : std::numeric_limits<double>::quiet_NaN();
}

void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint) {
    require_finite(checkpoint.weights);
    require_finite(checkpoint.optimiser);
    std::vector<NamedTensor> tensors;
    append(tensors, kWeights, checkpoint.weights);
    append(tensors, kOptimiser, checkpoint.optimiser);
    write_safetensors(path, tensors, metadata_of(checkpoint));
}

Checkpoint checkpoint_of(const WeightFile& file) {
    const auto format = file.metadata.find(std::string(kFormatKey));
    if (format == file.metadata.end() || format->second != kFormat)
        fail(file, "its 'format' is not " + std::string(kFormat));
    Checkpoint checkpoint{{}, {}, state_of(file), {}, {}};
    for (const auto& [name, value] : file.metadata) {
        if (name.starts_with(kIdentity)) checkpoint.identity[name.substr(kIdentity.size())] = value;
        if (name.starts_with(kCircumstances))
            checkpoint.circumstances[name.substr(kCircumstances.size())] = value;
    }
    for (const StoredTensor& tensor : file.tensors) {
        const bool weight = tensor.name.starts_with(kWeights);
        if (!weight && !tensor.name.starts_with(kOptimiser)) fail(file, "a tensor '" + tensor.name + "'");
        if (tensor.type != StoredType::F32) fail(file, "'" + tensor.name + "' is not float32");
        const size_t prefix = (weight ? kWeights : kOptimiser).size();
        (weight ? checkpoint.weights : checkpoint.optimiser)
            .push_back({tensor.name.substr(prefix), tensor.shape, to_float32(tensor)});
    }
    return checkpoint;
}

Checkpoint read_checkpoint(const std::filesystem::path& path) {
    return checkpoint_of(read_weights(path));
}

void write_weights(const std::filesystem::path& path, const std::vector<Array>& weights,
                   const std::map<std::string, std::string>& metadata) {
    std::vector<NamedTensor> tensors;
    append(tensors, "", weights);
    write_safetensors(path, tensors, metadata);
}

void write_torch_weights(const std::filesystem::path& path, const std::vector<Array>& weights) {
    std::vector<NamedTensor> tensors;
    append(tensors, "", weights);
    write_torch(path, tensors);
}

}  // namespace gs::train
