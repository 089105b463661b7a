// gradscore convert and gradscore inspect: files of weights, without running them.
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/printable.h"
#include "nets/architecture.h"
#include "nets/weight_reader.h"
#include "report/text.h"
#include "tools/commands.h"
#include "tools/setup.h"
#include "tools/stored_preprocess.h"
#include "weights/weight_file.h"

namespace gs {
namespace {

// The net's name, or why there is none.
std::pair<std::optional<Architecture>, std::string> guess(const WeightFile& file) {
    try {
        const Architecture a = guess_architecture(WeightReader(file));
        return {a, name_of(a)};
    } catch (const Error& error) {
        const std::string text = error.what();
        const std::string prefix = file.path.string() + ": ";
        return {std::nullopt, text.starts_with(prefix) ? text.substr(prefix.size()) : text};
    }
}

// Prints names as a tree: the part shared with the line before is not repeated.
class TreePrinter {
  public:
    void print(const std::string& name, const std::string& what) {
        std::vector<std::string> parts = split(name);
        size_t shared = 0;
        while (shared + 1 < parts.size() && shared + 1 < open_.size() && parts[shared] == open_[shared])
            ++shared;
        for (size_t depth = shared; depth + 1 < parts.size(); ++depth)
            std::cout << std::string(2 * depth, ' ') << printable(parts[depth]) << '\n';
        std::string line = std::string(2 * (parts.size() - 1), ' ') + printable(parts.back());
        line.resize(std::max<size_t>(line.size() + 2, 36), ' ');
        std::cout << line << what << '\n';
        open_ = std::move(parts);
    }

  private:
    std::vector<std::string> open_;
    static std::vector<std::string> split(const std::string& name) {
        std::vector<std::string> parts(1);
        for (const char c : name) {
            if (c == '.' || c == '/') {
                parts.emplace_back();
            } else {
                parts.back() += c;
            }
        }
        return parts;
    }
};

bool is_half(const StoredTensor& tensor) {
    return tensor.type == StoredType::F16 || tensor.type == StoredType::BF16;
}

nlohmann::json inspect_json(const WeightFile& file) {
    nlohmann::json tensors = nlohmann::json::array();
    for (const StoredTensor& t : file.tensors)
        tensors.push_back({{"name", t.name}, {"dtype", to_string(t.type)}, {"shape", t.shape}});
    const auto [architecture, name] = guess(file);
    nlohmann::json result{{"file", file.path.string()}, {"format", file.format},
                          {"sha256", file.sha256()},    {"net", nullptr},
                          {"classes", nullptr},         {"notices", file.notices},
                          {"metadata", file.metadata},  {"tensors", std::move(tensors)}};
    if (architecture) {
        result["net"] = name;
        result["classes"] = architecture->classes;
    }
    return result;
}

}  // namespace

int run_inspect(const InspectFlags& flags) {
    const WeightFile file = read_weights(flags.file);
    if (flags.json) {
        std::cout << inspect_json(file).dump(1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
        return 0;
    }
    int64_t values = 0;
    TreePrinter tree;
    for (const StoredTensor& t : file.tensors) {
        tree.print(t.name, std::string(to_string(t.type)) + " " + to_string(t.shape));
        values += t.elements();
    }
    const auto [architecture, name] = guess(file);
    std::cout << '\n'
              << printable(file.path.string(), 4096) << ": " << file.format << ", "
              << counted(std::ssize(file.tensors), "tensor") << ", " << counted(values, "value")
              << "\nsha256  " << file.sha256() << '\n';
    if (architecture) {
        std::cout << "net     " << name << ", " << architecture->classes << " classes; input "
                  << stored_preprocess(file, default_preprocess(*architecture)).describe() << '\n';
    } else {
        std::cout << "net     none: " << printable(name, 4096) << '\n';
    }
    for (const auto& [key, value] : file.metadata)
        std::cout << "meta    " << printable(key) << " = " << printable(value, 4096) << '\n';
    for (const std::string& notice : file.notices) say("notice: " + notice);
    return 0;
}

int run_convert(const ConvertFlags& flags) {
    check_output_file(flags.out, flags.force, {".safetensors", ".pth", ".pt"});
    const WeightFile file = read_weights(flags.in);
    WeightReader reader(file);
    const auto [architecture, name] = guess(file);

    // Names and shapes as the reference's PyTorch code has them (BiT's .npz: renamed, kernels transposed);
    // halves in plain order are copied bit for bit, every other float becomes float32, integers stay.
    std::vector<std::vector<float>> floats;
    std::vector<NamedTensor> tensors;
    for (const std::string& tensor_name : reader.names()) {
        const StoredTensor& stored = reader.stored(tensor_name);
        if (!stored.is_floating() && !stored.strides.empty()) {
            say("notice: " + tensor_name + " left out: a strided integer tensor");
            continue;
        }
        const std::vector<int64_t> shape = *reader.shape(tensor_name);
        const bool kept = is_half(stored) && stored.strides.empty() && !reader.is_transposed(tensor_name);
        if (stored.is_floating() && !kept) {
            floats.push_back(reader.take(tensor_name, shape));
            tensors.push_back({tensor_name, StoredType::F32, shape, std::as_bytes(std::span(floats.back()))});
        } else {
            const size_t bytes = static_cast<size_t>(stored.elements()) * bytes_per_element(stored.type);
            tensors.push_back({tensor_name, stored.type, shape, stored.storage.first(bytes)});
        }
    }
    if (flags.out.ends_with(".safetensors")) {
        std::map<std::string, std::string> metadata = file.metadata;
        metadata["source_sha256"] = file.sha256();
        if (architecture) metadata["net"] = name;
        write_safetensors(flags.out, tensors, metadata);
    } else {
        write_torch(flags.out, tensors);
    }
    for (const std::string& notice : file.notices) say("notice: " + notice);
    if (!flags.quiet)
        std::cout << flags.out << ": " << counted(std::ssize(tensors), "tensor") << " of "
                  << (architecture ? name : "no known net") << '\n';
    if (!architecture) say("notice: " + name);
    return 0;
}

}  // namespace gs
