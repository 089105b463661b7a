#include "weights/torch_types.h"

#include <span>

namespace gs::weights {
namespace {

constexpr TorchType kStorages[] = {
    {"FloatStorage", StoredType::F32, 4},       {"DoubleStorage", StoredType::F64, 8},
    {"HalfStorage", StoredType::F16, 2},        {"BFloat16Storage", StoredType::BF16, 2},
    {"CharStorage", StoredType::I8, 1},         {"ShortStorage", StoredType::I16, 2},
    {"IntStorage", StoredType::I32, 4},         {"LongStorage", StoredType::I64, 8},
    {"ByteStorage", StoredType::U8, 1},         {"BoolStorage", StoredType::Bool, 1},
    {"UntypedStorage", std::nullopt, 1, true},  {"ComplexFloatStorage", std::nullopt, 8},
    {"ComplexDoubleStorage", std::nullopt, 16}, {"QInt8Storage", std::nullopt, 1},
    {"QUInt8Storage", std::nullopt, 1},         {"QInt32Storage", std::nullopt, 4},
};

constexpr TorchType kDtypes[] = {
    {"float32", StoredType::F32, 4},      {"float64", StoredType::F64, 8},
    {"float16", StoredType::F16, 2},      {"bfloat16", StoredType::BF16, 2},
    {"int8", StoredType::I8, 1},          {"int16", StoredType::I16, 2},
    {"int32", StoredType::I32, 4},        {"int64", StoredType::I64, 8},
    {"uint8", StoredType::U8, 1},         {"bool", StoredType::Bool, 1},
    {"uint16", std::nullopt, 2},          {"uint32", std::nullopt, 4},
    {"uint64", std::nullopt, 8},          {"complex64", std::nullopt, 8},
    {"complex128", std::nullopt, 16},     {"float8_e4m3fn", std::nullopt, 1},
    {"float8_e5m2", std::nullopt, 1},     {"float8_e4m3fnuz", std::nullopt, 1},
    {"float8_e5m2fnuz", std::nullopt, 1}, {"float8_e8m0fnu", std::nullopt, 1},
};

const TorchType* find(std::span<const TorchType> types, std::string_view name) {
    for (const TorchType& type : types)
        if (type.name == name) return &type;
    return nullptr;
}

}  // namespace

const TorchType* find_storage_type(std::string_view global) {
    for (const std::string_view module : {"torch.cuda.", "torch.storage.", "torch."})
        if (global.starts_with(module)) return find(kStorages, global.substr(module.size()));
    return nullptr;
}

std::string_view storage_name(StoredType type) {
    for (const TorchType& storage : kStorages)
        if (storage.type == type) return storage.name;
    GS_REQUIRE(false);
    return {};
}

const TorchType* find_dtype(std::string_view global) {
    constexpr std::string_view kModule = "torch.";
    return global.starts_with(kModule) ? find(kDtypes, global.substr(kModule.size())) : nullptr;
}

}  // namespace gs::weights
