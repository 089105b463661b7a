// A stream's work, captured as a CUDA graph.
#pragma once

#include <functional>
#include <memory>

#include "core/backend.h"
#include "cuda/context.h"

namespace gs::cuda {

// Null where the work cannot be captured: it waits for the device, or a library of it does.
std::unique_ptr<Recording> record_graph(std::shared_ptr<Context> context, const std::function<void()>& work);

}  // namespace gs::cuda
