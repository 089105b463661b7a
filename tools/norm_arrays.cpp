#include "tools/norm_arrays.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "core/numbers.h"
#include "scores/options.h"

namespace gs {
namespace {

std::string array_name(const Cotangent& cotangent, double p) {
    return "norms/p" + shortest(p) + "/" + family_of(cotangent);
}

double norm_of(double sum, double p) {
    return std::isinf(p) ? sum : std::pow(sum, 1 / p);
}
float sum_of(double norm, double p) {
    return static_cast<float>(std::isinf(p) ? norm : std::pow(norm, p));
}

struct Group {
    double p = 0;
    std::map<int64_t, Cotangent> classes;
    std::set<std::string> parameters;
};

// In the net's order.
std::vector<std::string> parameter_names(const Net& net) {
    std::vector<std::string> names;
    for (const Node& node : net.nodes)
        names.insert(names.end(), node.parameters.begin(), node.parameters.end());
    return names;
}

NormArray array_of(const std::string& name, const Group& group, const Evidence& evidence, const Net& net) {
    NormArray array{.name = name, .parameters = {}, .classes = {}, .shape = {}, .values = {}};
    for (const auto& [target, cotangent] : group.classes) array.classes.push_back(target);
    std::vector<const Matrix*> columns;
    for (const std::string& parameter : parameter_names(net)) {
        if (!group.parameters.contains(parameter)) continue;
        std::vector<const Matrix*> columns_here;
        for (const auto& [target, cotangent] : group.classes) {
            const auto it = evidence.weight_norms.find({cotangent, {parameter, group.p}});
            if (it != evidence.weight_norms.end()) columns_here.push_back(&it->second);
        }
        if (columns_here.size() != group.classes.size()) continue;
        array.parameters.push_back(parameter);
        columns.insert(columns.end(), columns_here.begin(), columns_here.end());
    }
    array.shape = {evidence.samples, static_cast<int64_t>(array.parameters.size()),
                   static_cast<int64_t>(array.classes.size())};
    array.values.reserve(static_cast<size_t>(evidence.samples) * columns.size());
    for (int64_t n = 0; n < evidence.samples; ++n)
        for (const Matrix* column : columns) array.values.push_back(norm_of(column->row(n)[0], group.p));
    return array;
}

// An array of a file, as far as what it says of itself is true.
struct Stored {
    std::vector<std::string> parameters;
    std::vector<int64_t> classes;
    int64_t rows = 0;
    std::vector<double> values;
    double at(int64_t n, size_t parameter, size_t target) const {
        return values[(static_cast<size_t>(n) * parameters.size() + parameter) * classes.size() + target];
    }
};

std::optional<Stored> read_stored(const WeightFile& file, const std::string& name) {
    const StoredTensor* tensor = file.find(name);
    const auto description = file.metadata.find(name);
    if (tensor == nullptr || description == file.metadata.end() || tensor->type != StoredType::F64 ||
        tensor->shape.size() != 3 || !tensor->strides.empty())
        return std::nullopt;
    Stored stored;
    try {
        const nlohmann::json json = nlohmann::json::parse(description->second);
        stored.parameters = json.at("parameters").get<std::vector<std::string>>();
        stored.classes = json.at("classes").get<std::vector<int64_t>>();
    } catch (const nlohmann::json::exception&) {
        return std::nullopt;
    }
    if (tensor->shape[1] != static_cast<int64_t>(stored.parameters.size()) ||
        tensor->shape[2] != static_cast<int64_t>(stored.classes.size()))
        return std::nullopt;
    stored.rows = tensor->shape[0];
    stored.values.resize(static_cast<size_t>(tensor->elements()));
    std::memcpy(stored.values.data(), tensor->storage.data(), stored.values.size() * sizeof(double));
    return stored;
}

template <class T>
std::optional<size_t> index_of(const std::vector<T>& all, const T& one) {
    const auto it = std::find(all.begin(), all.end(), one);
    if (it == all.end()) return std::nullopt;
    return static_cast<size_t>(it - all.begin());
}

}  // namespace

std::vector<NormArray> norm_arrays(const Evidence& evidence, const Net& net) {
    std::map<std::string, Group> groups;
    for (const auto& [key, sums] : evidence.weight_norms) {
        const auto& [cotangent, norm] = key;
        Group& group = groups[array_name(cotangent, norm.p)];
        group.p = norm.p;
        group.classes.emplace(cotangent.target, cotangent);
        group.parameters.insert(norm.parameter);
    }
    std::vector<NormArray> arrays;
    for (const auto& [name, group] : groups) arrays.push_back(array_of(name, group, evidence, net));
    return arrays;
}

std::string describe(const NormArray& array) {
    return nlohmann::json{{"parameters", array.parameters}, {"classes", array.classes}}.dump();
}

std::optional<WeightNorms> stored_norms(const WeightFile& file, const std::vector<Backward>& backwards) {
    WeightNorms norms;
    std::map<std::string, std::optional<Stored>> arrays;
    for (const Backward& backward : backwards) {
        if (!backward.gradients.empty() || !backward.second.empty() || backward.input_gradient)
            return std::nullopt;
        for (const WeightNorm& wanted : backward.weight_norms) {
            const std::string name = array_name(backward.cotangent, wanted.p);
            if (!arrays.contains(name)) arrays[name] = read_stored(file, name);
            const std::optional<Stored>& stored = arrays[name];
            if (!stored) return std::nullopt;
            const auto parameter = index_of(stored->parameters, wanted.parameter);
            const auto target = index_of(stored->classes, backward.cotangent.target);
            if (!parameter || !target) return std::nullopt;
            Matrix sums{.rows = stored->rows, .cols = 1};
            for (int64_t n = 0; n < stored->rows; ++n)
                sums.values.push_back(sum_of(stored->at(n, *parameter, *target), wanted.p));
            norms[{backward.cotangent, wanted}] = std::move(sums);
        }
    }
    return norms;
}

}  // namespace gs
