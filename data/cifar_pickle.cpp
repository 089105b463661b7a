#include "data/cifar_pickle.h"

#include <algorithm>
#include <array>

namespace gs::detail {
namespace {

using pickle::Call, pickle::List, pickle::Value, pickle::ValuePtr;

constexpr std::array<std::string_view, 6> kAllowed{"numpy.ndarray",
                                                   "numpy.dtype",
                                                   "numpy.core.multiarray._reconstruct",
                                                   "numpy._core.multiarray._reconstruct",
                                                   "numpy.core.numeric._frombuffer",
                                                   "numpy._core.numeric._frombuffer"};

bool allowed(std::string_view name) {
    return std::find(kAllowed.begin(), kAllowed.end(), name) != kAllowed.end();
}

ValuePtr element(ValuePtr value, size_t index) {
    const List* list = value != nullptr ? value->as<List>() : nullptr;
    return list != nullptr && index < list->items.size() ? list->items[index] : nullptr;
}

std::string_view text_of(ValuePtr value) {
    return value != nullptr ? pickle::text(*value).value_or(std::string_view{}) : std::string_view{};
}

bool is_uint8(ValuePtr dtype) {
    const Call* call = dtype != nullptr ? dtype->as<Call>() : nullptr;
    if (call == nullptr || call->callee != "numpy.dtype") return false;
    const std::string_view name = text_of(element(call->arguments, 0));
    return name == "u1" || name == "|u1" || name == "uint8";
}

// What numpy needs to build an array, from either of the two forms in which it pickles one.
struct NumpyArray {
    ValuePtr shape = nullptr, dtype = nullptr, content = nullptr;
    bool row_major = false;
};

NumpyArray take_apart(ValuePtr value) {
    const Call* call = value != nullptr ? value->as<Call>() : nullptr;
    if (call == nullptr) return {};
    if (call->callee.ends_with("._reconstruct")) {  // state: version, shape, dtype, Fortran order, bytes
        const ValuePtr fortran = element(call->state, 3);
        const bool* order = fortran != nullptr ? fortran->as<bool>() : nullptr;
        const int64_t* number = fortran != nullptr ? fortran->as<int64_t>() : nullptr;
        const bool row_major = order != nullptr ? !*order : number != nullptr && *number == 0;
        return {element(call->state, 1), element(call->state, 2), element(call->state, 4), row_major};
    }
    if (call->callee.ends_with("._frombuffer"))  // buffer, dtype, shape, order
        return {element(call->arguments, 2), element(call->arguments, 1), element(call->arguments, 0),
                text_of(element(call->arguments, 3)) == "C"};
    return {};
}

std::span<const std::byte> images(ValuePtr value, int64_t count) {
    const NumpyArray array = take_apart(value);
    const auto length = [&](size_t i) {
        const ValuePtr number = element(array.shape, i);
        const int64_t* held = number != nullptr ? number->as<int64_t>() : nullptr;
        return held != nullptr ? *held : -1;
    };
    const pickle::Bytes* bytes = array.content != nullptr ? array.content->as<pickle::Bytes>() : nullptr;
    const bool right = bytes != nullptr && array.row_major && is_uint8(array.dtype) && length(0) == count &&
                       length(1) == ArraySet::kBytes && element(array.shape, 2) == nullptr &&
                       bytes->bytes.size() == static_cast<size_t>(count * ArraySet::kBytes);
    return right ? bytes->bytes : std::span<const std::byte>{};
}

}  // namespace

CifarPickle parse_cifar_pickle(std::span<const std::byte> file, const std::string& what,
                               const std::string& label_key, int64_t classes) {
    CifarPickle out;
    out.parsed = pickle::parse(file, allowed, what, ErrorKind::Data);
    const auto bad = [&](const std::string& why) {
        return Error(ErrorKind::Data, what + ": not a CIFAR batch: " + why);
    };
    const ValuePtr labels = pickle::find(*out.parsed.value, label_key);
    const List* list = labels != nullptr ? labels->as<List>() : nullptr;
    if (list == nullptr) throw bad("there is no list '" + label_key + "'");
    for (const ValuePtr item : list->items) {
        const int64_t* label = item->as<int64_t>();
        if (label == nullptr || *label < 0 || *label >= classes)
            throw bad("'" + label_key + "' holds something that is no label below " +
                      std::to_string(classes));
        out.labels.push_back(*label);
    }
    out.data = images(pickle::find(*out.parsed.value, "data"), static_cast<int64_t>(out.labels.size()));
    if (out.data.empty() && !out.labels.empty())
        throw bad("'data' is no numpy array uint8 [" + std::to_string(out.labels.size()) + ", 3072]");
    return out;
}

}  // namespace gs::detail
