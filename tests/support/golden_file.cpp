#include "tests/support/golden_file.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "core/files.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

// The generator of recipe weights: w_i = float32(mean + sd sqrt(3) (2 u_i - 1)), u_i in [0, 1) from
// splitmix64 keyed by the tensor's name and the net's seed.
std::vector<float> recipe_values(const std::string& name, uint64_t seed, double mean, double sd,
                                 int64_t count) {
    uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    SplitMix64 random(hash ^ (seed * 0xD1342543DE82EF95));
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) {
        const volatile double spread =
            sd * std::sqrt(3.0) * (2 * random.uniform() - 1);  // rounded: no fused add
        value = static_cast<float>(mean + spread);
    }
    return values;
}

}  // namespace

void GoldenFile::complain(const std::string& what) const {
    throw Error(ErrorKind::Data, file_.path.string() + ": " + what);
}

const StoredTensor& GoldenFile::tensor(const std::string& name) const {
    const StoredTensor* found = file_.find(name);
    if (!found) complain("has no tensor '" + name + "'");
    return *found;
}

template <class T>
std::vector<T> GoldenFile::raw(const std::string& name, StoredType type) const {
    const StoredTensor& stored = tensor(name);
    if (stored.type != type) complain("'" + name + "' is stored as " + std::string(to_string(stored.type)));
    std::vector<T> values(static_cast<size_t>(stored.elements()));
    std::memcpy(values.data(), stored.storage.data(), values.size() * sizeof(T));
    return values;
}

std::vector<double> GoldenFile::doubles(const std::string& name) const {
    if (tensor(name).type != StoredType::F64) return ref::cast<double>(floats(name));
    return raw<double>(name, StoredType::F64);
}

std::vector<int64_t> GoldenFile::integers(const std::string& name) const {
    return raw<int64_t>(name, StoredType::I64);
}

std::vector<uint8_t> GoldenFile::bytes(const std::string& name) const {
    return raw<uint8_t>(name, StoredType::U8);
}

ref::Tensor<double> GoldenFile::nhwc(const std::string& name) const {
    const std::vector<double> from = doubles(name);
    std::vector<int64_t> s = shape(name);
    GS_REQUIRE(!s.empty() && s.size() <= 4);
    s.resize(4, 1);
    ref::Tensor<double> to(Shape{s[0], s[2], s[3], s[1]});
    size_t i = 0;
    ref::for_each_element(Shape{s[0], s[1], s[2], s[3]},
                          [&](auto n, auto c, auto h, auto w) { to.at(n, h, w, c) = from[i++]; });
    return to;
}

std::string GoldenFile::text(const std::string& key) const {
    const auto found = file_.metadata.find(key);
    if (found == file_.metadata.end()) complain("has no metadata '" + key + "'");
    return found->second;
}

std::vector<std::string> GoldenFile::names(const std::string& key) const {
    return json(key).get<std::vector<std::string>>();
}

nlohmann::ordered_json GoldenFile::json(const std::string& key) const {
    return nlohmann::ordered_json::parse(text(key));
}

std::vector<int64_t> GoldenFile::shape_of(const std::string& name, const TensorShapes& shapes) const {
    const auto given = shapes.find(name);
    if (given != shapes.end()) return given->second;
    if (!has("w/" + name)) complain("the recipe's '" + name + "' has no shape: pass it");
    return shape("w/" + name);
}

std::vector<float> GoldenFile::from_recipe(const std::string& name, const nlohmann::ordered_json& law,
                                           const TensorShapes& shapes) const {
    int64_t count = 1;
    for (const int64_t extent : shape_of(name, shapes)) count *= extent;
    return recipe_values(name, std::stoull(text("seed")), law.at(0), law.at(1), count);
}

WeightFile GoldenFile::weights(const TensorShapes& shapes) const {
    auto values = std::make_shared<std::vector<std::vector<float>>>();
    WeightFile net;
    net.path = file_.path;
    net.format = "safetensors";
    const auto add = [&](const std::string& name, std::vector<int64_t> shape, std::vector<float> tensor) {
        values->push_back(std::move(tensor));
        net.tensors.push_back(
            {name, StoredType::F32, std::move(shape), {}, std::as_bytes(std::span(values->back()))});
    };
    const auto add_stored = [&](const std::string& name) {
        add(name, shape("w/" + name), floats("w/" + name));
    };
    const nlohmann::ordered_json recipe = json("recipe");
    for (const auto& [name, law] : recipe.items()) {
        if (has("w/" + name))
            add_stored(name);
        else
            add(name, shape_of(name, shapes), from_recipe(name, law, shapes));
        const std::string module = name.substr(0, name.rfind('.'));
        if (name != module + ".bias" || !has("w/" + module + ".running_mean")) continue;
        add_stored(module + ".running_mean");
        add_stored(module + ".running_var");
    }
    net.owner = values;
    verify(net);
    return net;
}

void GoldenFile::verify(const WeightFile& net) const {
    Sha256 hash;
    for (const StoredTensor& stored : net.tensors) {
        hash.update(stored.name);
        hash.update(stored.storage);
    }
    if (hash.hex() != text("weights_sha256"))
        complain("the weights do not have the SHA-256 of the oracle's: wrong shapes or generator");
}

}  // namespace gs::test
