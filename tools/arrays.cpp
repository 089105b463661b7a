#include "tools/arrays.h"

#include <algorithm>

#include "core/files.h"
#include "tools/norm_arrays.h"
#include "weights/as_data.h"

namespace gs {
namespace {

constexpr std::string_view kSchema = "gradscore/arrays/1";
constexpr std::string_view kTapPrefix = "tap/";

NamedTensor tensor_of(std::string name, const Matrix& matrix) {
    return {.name = std::move(name),
            .type = StoredType::F32,
            .shape = {matrix.rows, matrix.cols},
            .bytes = std::as_bytes(std::span(matrix.values))};
}

Matrix matrix_of(const StoredTensor& tensor) {
    Matrix matrix{.rows = tensor.shape.at(0), .cols = tensor.shape.at(1)};
    matrix.values = to_float32(tensor);
    return matrix;
}

// Names of the stored arrays that answer the request; nothing where it asks for more than can be stored.
std::optional<std::vector<std::string>> needed_arrays(const Request& request) {
    std::vector<std::string> names;
    if (request.logits) names.push_back("logits");
    if (request.features) names.push_back("features");
    for (const TapReduction& wanted : request.activations) {
        if (wanted.reduction != Reduction::Mean) return std::nullopt;
        names.push_back(std::string(kTapPrefix) + wanted.tap);
    }
    return names;
}

// All there, one row an image in each.
bool holds(const WeightFile& file, const std::vector<std::string>& names) {
    std::optional<int64_t> rows;
    return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
        const StoredTensor* tensor = file.find(name);
        if (tensor == nullptr || tensor->shape.size() != 2 || tensor->type != StoredType::F32) return false;
        return tensor->shape[0] == rows.value_or(tensor->shape[0]) && (rows = tensor->shape[0], true);
    });
}

}  // namespace

SaveOptions parse_save(const std::vector<std::string>& items) {
    SaveOptions save;
    for (const std::string& item : items) {
        if (item == "logits") {
            save.logits = true;
        } else if (item == "features") {
            save.features = true;
        } else if (item == "taps") {
            save.taps = true;
        } else if (item == "norms") {
            save.norms = true;
        } else {
            throw Error(ErrorKind::Usage, "--save " + item + ": not one of logits, features, taps, norms");
        }
    }
    return save;
}

Request save_request(const SaveOptions& save, const Net& net) {
    Request request{.logits = save.logits, .features = save.features};
    if (save.taps)
        for (const std::string& stage : net.stages)
            request.activations.push_back({.tap = stage, .reduction = Reduction::Mean});
    return request;
}

void write_arrays(const std::filesystem::path& path, const ArrayKey& key, const Evidence& evidence,
                  const SaveOptions& save, const Net& net) {
    std::vector<NamedTensor> tensors;
    if (save.logits) tensors.push_back(tensor_of("logits", evidence.logits));
    if (save.features) tensors.push_back(tensor_of("features", evidence.features));
    if (save.taps)
        for (const auto& [wanted, matrix] : evidence.activations)
            if (wanted.reduction == Reduction::Mean)
                tensors.push_back(tensor_of(std::string(kTapPrefix) + wanted.tap, matrix));
    const std::vector<NormArray> norms = save.norms ? norm_arrays(evidence, net) : std::vector<NormArray>{};
    std::map<std::string, std::string> descriptions;
    for (const NormArray& array : norms) {
        tensors.push_back({.name = array.name,
                           .type = StoredType::F64,
                           .shape = array.shape,
                           .bytes = std::as_bytes(std::span(array.values))});
        descriptions[array.name] = describe(array);
    }
    write_arrays_file(path, tensors, key, std::move(descriptions));
}

void write_arrays_file(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const ArrayKey& key, std::map<std::string, std::string> metadata) {
    metadata["schema"] = kSchema;
    metadata["weights_sha256"] = key.by.weights_sha256;
    metadata["net"] = key.by.net;
    metadata["preprocess"] = key.by.preprocess;
    metadata["precision"] = key.by.precision;
    metadata["set_digest"] = key.set_digest;
    write_safetensors(path, tensors, metadata);
}

std::optional<ArrayKey> array_key(const WeightFile& file) {
    const auto field = [&](const char* name) {
        const auto it = file.metadata.find(name);
        return it == file.metadata.end() ? std::string() : it->second;
    };
    if (field("schema") != kSchema) return std::nullopt;
    const std::string precision = field("precision");  // files of before there was another have none
    return ArrayKey{
        {field("weights_sha256"), field("net"), field("preprocess"), precision.empty() ? "f32" : precision},
        field("set_digest")};
}

ArrayStore::ArrayStore(const std::vector<std::string>& runs) {
    for (const std::string& run : runs) {
        const std::filesystem::path folder = std::filesystem::path(run) / "arrays";
        std::error_code error;
        const size_t before = files_.size();
        for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
            if (entry.path().extension() != ".safetensors") continue;
            if (const auto key = array_key(as_data([&] { return read_weights(entry.path()); })))
                files_.emplace_back(*key, entry.path());
        }
        if (files_.size() == before)
            throw Error(ErrorKind::Usage,
                        "--reuse " + run + ": no arrays there; score with --save logits,features");
    }
}

bool ArrayStore::may_answer(const Computation& by, const Request& request) const {
    return needed_arrays(request) &&
           std::any_of(files_.begin(), files_.end(), [&](const auto& file) { return file.first.by == by; });
}

std::optional<Evidence> ArrayStore::find(const ArrayKey& key, const Request& request) const {
    const auto names = needed_arrays(request);
    if (!names) return std::nullopt;
    for (const auto& [stored_key, path] : files_) {
        if (stored_key != key) continue;
        const WeightFile file = as_data([&] { return read_weights(path); });
        if (!holds(file, *names)) continue;
        auto norms = stored_norms(file, request.backwards);
        if (!norms) continue;
        Evidence evidence;
        evidence.weight_norms = std::move(*norms);
        if (request.logits) evidence.logits = matrix_of(*file.find("logits"));
        if (request.features) evidence.features = matrix_of(*file.find("features"));
        for (const TapReduction& wanted : request.activations)
            evidence.activations[wanted] = matrix_of(*file.find(std::string(kTapPrefix) + wanted.tap));
        evidence.samples = std::max(evidence.logits.rows, evidence.features.rows);
        return evidence;
    }
    return std::nullopt;
}

std::string combine_digests(const std::vector<std::string>& digests) {
    Sha256 all;
    for (const std::string& digest : digests) all.update(digest);
    return all.hex();
}

std::optional<std::vector<std::string>> image_digests(const ImageSet& set, const IndexRange& range) {
    std::vector<std::string> digests;
    digests.reserve(static_cast<size_t>(range.size()));
    try {
        for (int64_t i = range.first; i < range.last; ++i) digests.push_back(sha256_hex(set.bytes(i)));
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::Data) throw;
        return std::nullopt;  // who scores the set says which and why
    }
    return digests;
}

}  // namespace gs
