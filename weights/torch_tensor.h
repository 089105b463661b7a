// One tensor out of a PyTorch pickle.
#pragma once

#include "weights/torch_state.h"

namespace gs::weights {

// Is the value a recorded call that rebuilds a tensor or a parameter?
bool is_tensor(const pickle::Value& value);

// Is it one of a single number, without a dimension? Malformed records are not.
bool is_scalar(const pickle::Value& tensor);

// Throws, naming the tensor, for malformed records, types that are no weights, and views beyond their
// storage.
StoredTensor read_tensor(const Input& input, const std::string& name, const pickle::Value& value,
                         const StorageBytes& storage);

}  // namespace gs::weights
