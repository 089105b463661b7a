#include "weights/weight_file.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/printable.h"
#include "weights/formats.h"

namespace gs {
namespace {

struct TypeInfo {
    std::string_view name;
    size_t bytes;
};

const TypeInfo& info(StoredType type) {
    static constexpr TypeInfo kTypes[] = {{"F16", 2}, {"BF16", 2}, {"F32", 4}, {"F64", 8}, {"I8", 1},
                                          {"I16", 2}, {"I32", 4},  {"I64", 8}, {"U8", 1},  {"BOOL", 1}};
    return kTypes[static_cast<size_t>(type)];
}

float from_half(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
    const uint32_t exponent = half >> 10 & 31U, mantissa = half & 0x3FFU;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | mantissa << 13);  // infinities, NaN
    if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;  // zero and subnormals
    return sign != 0 ? -magnitude : magnitude;
}

template <class T>
T load(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof(T));
    return value;
}

float to_float(StoredType type, const std::byte* at) {
    switch (type) {
        case StoredType::F16:
            return from_half(load<uint16_t>(at));
        case StoredType::BF16:
            return std::bit_cast<float>(static_cast<uint32_t>(load<uint16_t>(at)) << 16);
        case StoredType::F64:
            return static_cast<float>(load<double>(at));
        default:
            return load<float>(at);
    }
}

// Row-major walk over a strided view; calls visit(element offset in the storage).
template <class Visit>
void for_each_strided(const StoredTensor& tensor, Visit visit) {
    const size_t rank = tensor.shape.size();
    std::vector<int64_t> index(rank, 0);
    int64_t at = 0;
    for (int64_t left = tensor.elements(); left > 0; --left) {
        visit(at);
        for (size_t d = rank; d-- > 0;) {
            at += tensor.strides[d];
            if (++index[d] < tensor.shape[d]) break;
            at -= tensor.strides[d] * index[d];
            index[d] = 0;
        }
    }
}

WeightFile read(weights::Owner& owner, std::span<const std::byte> bytes, const std::string& name,
                const ReadLimits& limits) {
    const weights::Input input{printable(name, 4096), bytes, limits, owner};
    const std::string_view text = input.text();
    WeightFile file;
    file.path = name;
    file.bytes = bytes;
    if (weights::looks_like_safetensors(input))
        weights::read_safetensors(input, file);
    else if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06"))
        weights::read_zip(input, file);
    else if (text.size() >= 2 && text[0] == '\x80' && text[1] <= 5)
        weights::read_pickle(input, file);
    else
        weights::refuse_unknown(input);
    weights::strip_prefixes(file);
    weights::check_tensors(input, file);
    return file;
}

}  // namespace

std::string_view to_string(StoredType type) {
    return info(type).name;
}

size_t bytes_per_element(StoredType type) {
    return info(type).bytes;
}

int64_t StoredTensor::elements() const {
    return std::accumulate(shape.begin(), shape.end(), int64_t{1},
                           [](int64_t a, int64_t b) { return a * b; });
}

bool StoredTensor::is_floating() const {
    return type <= StoredType::F64;
}

std::vector<float> to_float32(const StoredTensor& tensor) {
    if (!tensor.is_floating())
        throw Error(ErrorKind::Weights, "tensor '" + printable(tensor.name) + "' is stored as " +
                                            std::string(to_string(tensor.type)) +
                                            ", a floating type is needed");
    const auto count = static_cast<size_t>(tensor.elements());
    const size_t width = bytes_per_element(tensor.type);
    std::vector<float> values(count);
    if (!tensor.strides.empty()) {
        size_t i = 0;
        for_each_strided(tensor, [&](int64_t at) {
            values[i++] = to_float(tensor.type, tensor.storage.data() + static_cast<size_t>(at) * width);
        });
    } else if (tensor.type == StoredType::F32 && count > 0) {
        GS_REQUIRE(tensor.storage.size() >= count * width);
        std::memcpy(values.data(), tensor.storage.data(), count * width);
    } else {
        GS_REQUIRE(tensor.storage.size() >= count * width);
        for (size_t i = 0; i < count; ++i)
            values[i] = to_float(tensor.type, tensor.storage.data() + i * width);
    }
    return values;
}

bool overflows_float32(const StoredTensor& tensor) {
    if (tensor.type != StoredType::F64) return false;
    bool overflows = false;
    const auto look = [&](int64_t at) {
        const auto value = load<double>(tensor.storage.data() + static_cast<size_t>(at) * sizeof(double));
        overflows = overflows || (std::isfinite(value) && !std::isfinite(static_cast<float>(value)));
    };
    if (!tensor.strides.empty()) {
        for_each_strided(tensor, look);
    } else {
        for (int64_t i = 0; i < tensor.elements(); ++i) look(i);
    }
    return overflows;
}

const StoredTensor* WeightFile::find(std::string_view name) const {
    for (const StoredTensor& tensor : tensors)
        if (tensor.name == name) return &tensor;
    return nullptr;
}

const std::string& WeightFile::sha256() const {
    if (sha256_ == nullptr) sha256_ = std::make_shared<std::string>(sha256_hex(bytes));
    return *sha256_;
}

WeightFile read_weights(const std::filesystem::path& path, const ReadLimits& limits) {
    auto owner = std::make_shared<weights::Owner>();
    owner->file.emplace(path, ErrorKind::Weights);
    WeightFile file = read(*owner, owner->file->bytes(), path.string(), limits);
    file.path = path;
    file.owner = std::move(owner);
    return file;
}

WeightFile read_weights_from_memory(std::span<const std::byte> bytes, const std::string& name,
                                    const ReadLimits& limits) {
    auto owner = std::make_shared<weights::Owner>();
    WeightFile file = read(*owner, bytes, name, limits);
    file.owner = std::move(owner);
    return file;
}

}  // namespace gs
