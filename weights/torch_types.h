// PyTorch's storage types and dtypes by the names that pickles use.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "weights/weight_file.h"

namespace gs::weights {

struct TorchType {
    std::string_view name;           // without "torch."
    std::optional<StoredType> type;  // empty: known to PyTorch, no type for weights here
    size_t width;                    // bytes an element
    bool untyped = false;
};

// "torch.FloatStorage", "torch.cuda.FloatStorage", "torch.storage.UntypedStorage" …; null for other names.
const TorchType* find_storage_type(std::string_view global);

// "FloatStorage" …: what torch.save calls a storage of this type.
std::string_view storage_name(StoredType type);

// "torch.float32" …; null for other names.
const TorchType* find_dtype(std::string_view global);

}  // namespace gs::weights
