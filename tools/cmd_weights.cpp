// gradscore convert and gradscore inspect: files of weights, without running them.
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/backend.h"
#include "core/join.h"
#include "core/printable.h"
#include "nets/architecture.h"
#include "nets/net.h"
#include "nets/weight_reader.h"
#include "report/text.h"
#include "tools/commands.h"
#include "tools/setup.h"
#include "tools/stored_preprocess.h"
#include "weights/weight_file.h"

namespace gs {
namespace {

// What net the weights make: built as `score` builds it, for names and a few shapes alone tell too little.
struct Guess {
    std::string name;                          // also of a net that they do not fit; "": of none
    std::optional<Architecture> architecture;  // only where they fit
    std::string fault;                         // why they do not
    std::string nonfinite;                     // tensors with NaN or infinite values
};

Guess guess(const WeightFile& file) {
    Guess found;
    try {
        WeightReader reader(file);
        const Architecture architecture = guess_architecture(reader);
        found.name = name_of(architecture);
        const auto backend = make_cpu_backend();
        build_net(*backend, reader, architecture);
        reader.finish(/*allow_nonfinite=*/true);
        found.architecture = architecture;
        found.nonfinite = reader.nonfinite();
    } catch (const Error& error) {
        found.fault = error.what();
        for (const std::string& prefix :
             {file.path.string() + ": ", std::string("weights do not fit the net: ")})
            if (found.fault.starts_with(prefix)) found.fault.erase(0, prefix.size());
    }
    return found;
}

// "none: no known net has …" or "resnet20-cifar? does not fit: missing …".
std::string why_no_net(const Guess& found) {
    return printable(
        found.name.empty() ? "none: " + found.fault : found.name + "? does not fit: " + found.fault, 4096);
}

void say_nonfinite(const std::string& tensors) {
    if (!tensors.empty())
        say("notice: NaN or infinite values in " + tensors +
            "; score takes them under --allow-nonfinite only");
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

// What a state dict cannot hold, for the one who has to remember it.
std::vector<std::string> lost_metadata(const WeightFile& file, const Guess& found) {
    std::vector<std::string> notices, others;
    if (found.architecture) {
        const Preprocess usual = default_preprocess(*found.architecture);
        if (const std::string flags = flags_between(usual, stored_preprocess(file, usual)); !flags.empty())
            notices.push_back("a state dict holds no metadata: with this one score needs " + flags);
    }
    for (const auto& [key, value] : file.metadata)
        if (!found.architecture || !is_preprocess_metadata(key)) others.push_back(printable(key));
    if (!others.empty()) notices.push_back("metadata left out: " + printable(join(others), 4096));
    return notices;
}

bool is_half(const StoredTensor& tensor) {
    return tensor.type == StoredType::F16 || tensor.type == StoredType::BF16;
}

nlohmann::json inspect_json(const WeightFile& file) {
    nlohmann::json tensors = nlohmann::json::array();
    for (const StoredTensor& t : file.tensors)
        tensors.push_back({{"name", t.name}, {"dtype", to_string(t.type)}, {"shape", t.shape}});
    const Guess found = guess(file);
    nlohmann::json result{{"file", file.path.string()},   {"format", file.format},
                          {"sha256", file.sha256()},      {"net", nullptr},
                          {"classes", nullptr},           {"fault", nullptr},
                          {"notices", file.notices},      {"metadata", file.metadata},
                          {"tensors", std::move(tensors)}};
    if (found.architecture) {
        result["net"] = found.name;
        result["classes"] = found.architecture->classes;
    } else {
        result["fault"] = why_no_net(found);
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
    const Guess found = guess(file);
    std::cout << '\n'
              << printable(file.path.string(), 4096) << ": " << file.format << ", "
              << counted(std::ssize(file.tensors), "tensor") << ", " << counted(values, "value")
              << "\nsha256  " << file.sha256() << '\n';
    if (found.architecture) {
        std::cout << "net     " << found.name << ", " << found.architecture->classes << " classes; input "
                  << stored_preprocess(file, default_preprocess(*found.architecture)).describe() << '\n';
    } else {
        std::cout << "net     " << why_no_net(found) << '\n';
    }
    for (const auto& [key, value] : file.metadata)
        std::cout << "meta    " << printable(key) << " = " << printable(value, 4096) << '\n';
    for (const std::string& notice : file.notices) say("notice: " + notice);
    say_nonfinite(found.nonfinite);
    return 0;
}

int run_convert(const ConvertFlags& flags) {
    check_output_file(flags.out, flags.force, {".safetensors", ".pth", ".pt"});
    const WeightFile file = read_weights(flags.in);
    WeightReader reader(file);
    reader.check_names();
    const Guess found = guess(file);
    const bool to_safetensors = flags.out.ends_with(".safetensors");
    const std::vector<std::string> lost =
        to_safetensors ? std::vector<std::string>{} : lost_metadata(file, found);

    // Names and shapes as the reference's PyTorch code has them (BiT's .npz: renamed, kernels transposed);
    // halves in plain order are copied bit for bit, every other float becomes float32, integers stay.
    std::vector<std::vector<float>> floats;
    std::vector<NamedTensor> tensors;
    std::vector<std::string> beyond_float32;
    for (const std::string& tensor_name : reader.names()) {
        const StoredTensor& stored = reader.stored(tensor_name);
        if (!stored.is_floating() && !stored.strides.empty()) {
            say("notice: " + tensor_name + " left out: a strided integer tensor");
            continue;
        }
        const std::vector<int64_t> shape = *reader.shape(tensor_name);
        const bool kept = is_half(stored) && stored.strides.empty() && !reader.is_transposed(tensor_name);
        std::vector<float> values;  // of halves too: the reader looks whether they are numbers
        if (stored.is_floating()) values = reader.take(tensor_name, shape);
        if (overflows_float32(stored)) beyond_float32.push_back(printable(tensor_name));
        if (stored.is_floating() && !kept) {
            floats.push_back(std::move(values));
            tensors.push_back({tensor_name, StoredType::F32, shape, std::as_bytes(std::span(floats.back()))});
        } else {
            const size_t bytes = static_cast<size_t>(stored.elements()) * bytes_per_element(stored.type);
            tensors.push_back({tensor_name, stored.type, shape, stored.storage.first(bytes)});
        }
    }
    if (to_safetensors) {
        std::map<std::string, std::string> metadata = file.metadata;
        metadata["source_sha256"] = file.sha256();
        metadata.erase("net");
        if (found.architecture) metadata["net"] = found.name;
        write_safetensors(flags.out, tensors, metadata);
    } else {
        write_torch(flags.out, tensors);
    }
    for (const std::string& notice : file.notices) say("notice: " + notice);
    for (const std::string& notice : lost) say("notice: " + notice);
    say_nonfinite(reader.nonfinite());
    if (!beyond_float32.empty())
        say("notice: numbers beyond float32 became infinite in " + printable(join(beyond_float32), 4096));
    if (!flags.quiet)
        std::cout << flags.out << ": " << counted(std::ssize(tensors), "tensor") << " of "
                  << (found.architecture ? found.name : "no known net") << '\n';
    if (!found.architecture) say("notice: net " + why_no_net(found));
    return 0;
}

}  // namespace gs
