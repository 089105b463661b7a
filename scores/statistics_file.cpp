// The statistics file: safetensors with the facts of the fit as metadata. `states` is a JSON list of method,
// options and names of arrays; array A of state I, of method M, is the tensor "I.M/A".
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/numbers.h"
#include "core/printable.h"
#include "scores/statistics.h"
#include "weights/as_data.h"
#include "weights/weight_file.h"

namespace gs {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kSchema = "gradscore/statistics/1";
constexpr const char* kSeen = "seen";
constexpr const char* kStartedWith = "started_with";
constexpr const char* kExcluded = "excluded";
constexpr const char* kSearch = "search";
constexpr size_t kDigestBytes = std::tuple_size_v<ImageDigest>;

std::string tensor_name(size_t state, const std::string& method, const std::string& array) {
    return std::to_string(state) + "." + method + "/" + array;
}

StoredType type_of(const Array::Values& values) {
    static constexpr StoredType kTypes[] = {StoredType::F32, StoredType::F64, StoredType::I64,
                                            StoredType::U8};
    return kTypes[values.index()];
}

template <class T>
std::vector<T> copy_values(const StoredTensor& tensor) {
    std::vector<T> values(static_cast<size_t>(tensor.elements()));
    if (!values.empty()) std::memcpy(values.data(), tensor.storage.data(), values.size() * sizeof(T));
    return values;
}

class Reader {
  public:
    explicit Reader(const WeightFile& file) : file_(file), name_(file.path.string()) {}

    Statistics read() {
        require_schema();
        Statistics s;
        s.net = text("net");
        s.weights_sha256 = text("weights_sha256");
        s.preprocess = text("preprocess");
        if (file_.metadata.contains("precision")) s.precision = text("precision");  // else an older file
        s.set = text("set");
        s.total = number("total", 1);
        s.limit = limit();
        s.shards = number("shards", 1);
        s.shard = number("shard", 0);
        if (s.shard >= s.shards) fail("shard is not below shards" + kDamaged);
        s.seen = read_seen();
        s.states = read_states();
        if (file_.metadata.contains(kStartedWith)) s.started_with = read_started_with();
        if (file_.metadata.contains(kExcluded)) s.excluded = number(kExcluded, 0);
        if (file_.metadata.contains(kSearch)) s.search = text(kSearch);
        if (tensors_read_ != file_.tensors.size()) fail("holds tensors that belong to no fit" + kDamaged);
        return s;
    }

    std::optional<int64_t> limit() const {
        require_schema();
        return file_.metadata.contains("limit") ? std::optional(number("limit", 1)) : std::nullopt;
    }

  private:
    const WeightFile& file_;
    const std::string name_;
    size_t tensors_read_ = 0;
    const std::string kDamaged = "; the file is damaged";

    [[noreturn]] void fail(const std::string& why) const { throw Error(ErrorKind::Data, name_ + ": " + why); }

    void require_schema() const {
        if (file_.format != "safetensors" || !file_.metadata.contains("schema"))
            fail("no statistics file; gradscore fit writes them");
        if (text("schema") != kSchema)
            fail("schema '" + printable(text("schema")) + "', this version reads '" + std::string(kSchema) +
                 "'");
    }

    const std::string& text(const char* key) const {
        const auto at = file_.metadata.find(key);
        if (at == file_.metadata.end()) fail("metadata '" + std::string(key) + "' is missing" + kDamaged);
        return at->second;
    }

    int64_t number(const char* key, int64_t least) const {
        const std::string& digits = text(key);
        const auto value = parse_number<int64_t>(digits);
        if (!value || *value < least)
            fail("metadata '" + std::string(key) + "' is '" + printable(digits, 40) +
                 "', no whole number from " + std::to_string(least) + kDamaged);
        return *value;
    }

    const StoredTensor& tensor(const std::string& name) {
        const StoredTensor* found = file_.find(name);
        if (found == nullptr) fail("tensor '" + printable(name) + "' is missing" + kDamaged);
        const size_t bytes = static_cast<size_t>(found->elements()) * bytes_per_element(found->type);
        if (!found->strides.empty() || found->storage.size() < bytes)
            fail("tensor '" + printable(name) + "' is not as long as its shape says" + kDamaged);
        ++tensors_read_;
        return *found;
    }

    std::vector<ImageDigest> read_seen() {
        const StoredTensor& stored = tensor(kSeen);
        if (stored.type != StoredType::U8 || stored.shape.size() != 2 ||
            stored.shape[1] != static_cast<int64_t>(kDigestBytes))
            fail("tensor 'seen' is not U8 [N, 16]" + kDamaged);
        std::vector<ImageDigest> seen(static_cast<size_t>(stored.shape[0]));
        if (!seen.empty()) std::memcpy(seen.data(), stored.storage.data(), seen.size() * kDigestBytes);
        if (std::adjacent_find(seen.begin(), seen.end(), std::greater_equal<>()) != seen.end())
            fail("tensor 'seen' is not ascending" + kDamaged);
        return seen;
    }

    std::vector<FitState> read_states() {
        const std::string& list = text("states");
        const Json json = Json::parse(list, nullptr, /*allow_exceptions=*/false);
        if (!json.is_array() || json.empty()) fail("metadata 'states' is no list of fits" + kDamaged);
        std::vector<FitState> states;
        for (size_t i = 0; i < json.size(); ++i) states.push_back(read_state(json[i], i));
        return states;
    }

    FitState read_state(const Json& json, size_t index) {
        const auto member = [&](const char* key, Json::value_t type) -> const Json& {
            const auto at = json.is_object() ? json.find(key) : json.end();
            if (!json.is_object() || at == json.end() || at->type() != type)
                fail("metadata 'states': entry " + std::to_string(index) + " has no proper '" + key + "'" +
                     kDamaged);
            return *at;
        };
        FitState state;
        state.method = member("method", Json::value_t::string).get<std::string>();
        for (const auto& [key, value] : member("options", Json::value_t::object).items()) {
            if (!value.is_string()) fail("metadata 'states': an option is no text" + kDamaged);
            state.options[key] = value.get<std::string>();
        }
        for (const Json& array : member("arrays", Json::value_t::array)) {
            if (!array.is_string()) fail("metadata 'states': an array's name is no text" + kDamaged);
            const auto name = array.get<std::string>();
            if (state.arrays.contains(name))
                fail("array '" + printable(name) + "' is listed twice" + kDamaged);
            state.arrays[name] = read_array(tensor_name(index, state.method, name));
        }
        return state;
    }

    RunIdentity read_started_with() const {
        const Json json = Json::parse(text(kStartedWith), nullptr, /*allow_exceptions=*/false);
        const auto is_text = [](const Json& value) { return value.is_string(); };
        if (!json.is_object() || !std::all_of(json.begin(), json.end(), is_text))
            fail("metadata '" + std::string(kStartedWith) + "' is no object of texts" + kDamaged);
        return json.get<RunIdentity>();
    }

    Array read_array(const std::string& name) {
        const StoredTensor& stored = tensor(name);
        switch (stored.type) {
            case StoredType::F32:
                return {stored.shape, copy_values<float>(stored)};
            case StoredType::F64:
                return {stored.shape, copy_values<double>(stored)};
            case StoredType::I64:
                return {stored.shape, copy_values<int64_t>(stored)};
            case StoredType::U8:
                return {stored.shape, copy_values<uint8_t>(stored)};
            default:
                break;
        }
        fail("tensor '" + printable(name) + "' is " + std::string(to_string(stored.type)) +
             "; statistics are F32, F64, I64 or U8" + kDamaged);
    }
};

std::string states_json(const Statistics& statistics) {
    Json list = Json::array();
    for (const FitState& state : statistics.states) {
        Json names = Json::array();
        for (const auto& [name, array] : state.arrays) names.push_back(name);
        list.push_back({{"method", state.method}, {"options", state.options}, {"arrays", std::move(names)}});
    }
    return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

NamedTensor named(std::string name, const Array& array) {
    return {.name = std::move(name),
            .type = type_of(array.values),
            .shape = array.shape,
            .bytes = std::visit([](const auto& values) { return std::as_bytes(std::span(values)); },
                                array.values)};
}

}  // namespace

Statistics read_statistics(const std::filesystem::path& path) {
    return as_data([&] { return Reader(read_weights(path)).read(); });
}

Statistics read_statistics_from_memory(std::span<const std::byte> bytes, const std::string& name) {
    return as_data([&] { return Reader(read_weights_from_memory(bytes, name)).read(); });
}

std::optional<int64_t> limit_of_statistics(const std::filesystem::path& path) {
    return as_data([&] { return Reader(read_weights(path)).limit(); });
}

void write_statistics(const std::filesystem::path& path, const Statistics& s) {
    GS_REQUIRE(std::adjacent_find(s.seen.begin(), s.seen.end(), std::greater_equal<>()) == s.seen.end());
    std::vector<NamedTensor> tensors{
        {.name = kSeen,
         .type = StoredType::U8,
         .shape = {static_cast<int64_t>(s.seen.size()), static_cast<int64_t>(kDigestBytes)},
         .bytes = std::as_bytes(std::span(s.seen))}};
    for (size_t i = 0; i < s.states.size(); ++i)
        for (const auto& [name, array] : s.states[i].arrays)
            tensors.push_back(named(tensor_name(i, s.states[i].method, name), array));
    std::map<std::string, std::string> metadata{
        {"schema", std::string(kSchema)},     {"net", s.net},
        {"weights_sha256", s.weights_sha256}, {"preprocess", s.preprocess},
        {"precision", s.precision},           {"set", as_utf8(s.set)},
        {"total", std::to_string(s.total)},   {"shard", std::to_string(s.shard)},
        {"shards", std::to_string(s.shards)}, {"states", states_json(s)}};
    if (s.limit) metadata["limit"] = std::to_string(*s.limit);
    if (!s.started_with.empty()) metadata[kStartedWith] = Json(s.started_with).dump();
    if (s.excluded > 0) metadata[kExcluded] = std::to_string(s.excluded);
    if (!s.search.empty()) metadata[kSearch] = s.search;
    write_safetensors(path, tensors, metadata);
}

}  // namespace gs
