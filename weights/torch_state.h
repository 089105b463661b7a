// Meaning of a PyTorch checkpoint's pickle: which globals may be named, which dict holds the weights, and
// what the recorded calls of torch._utils._rebuild_tensor_v2 and its kin say about types, shapes and places.
// Source: torch/_utils.py, torch/serialization.py. Nothing is called; records are only looked at.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/pickle.h"
#include "weights/formats.h"

namespace gs::weights {

// pickle::parse with PyTorch's allow-list; a foreign global's refusal says to save a state_dict().
pickle::Parsed parse_torch_pickle(const Input& input, std::span<const std::byte> bytes,
                                  const std::string& what);

// One use of a storage: persistent id ('storage', type, key, location, elements, view).
struct StorageUse {
    std::string_view key;
    std::string_view type_name;                  // "FloatStorage", for messages
    std::optional<StoredType> type;              // empty: complex, quantised …: known width, but no weights
    size_t width = 1;                            // bytes an element
    bool untyped = false;                        // elements are bytes, the tensor says the type
    int64_t elements = 0;                        // of the whole storage
    int64_t view_offset = 0, view_elements = 0;  // the part meant (legacy files before 2018); else all
};
StorageUse storage_use(const Input& input, const pickle::PersistentId& id);

// The bytes of a storage, at least elements x width of them.
using StorageBytes = std::function<std::span<const std::byte>(const StorageUse&)>;

// Finds the dict of tensors and fills tensors and notices.
void read_state(const Input& input, const pickle::Parsed& parsed, const StorageBytes& storage,
                WeightFile& file);

}  // namespace gs::weights
