// Any bytes as a checkpoint of a training run: refused with an Error, or its state can be used.
#include <cstdlib>

#include "core/error.h"
#include "train/checkpoint.h"
#include "weights/weight_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const gs::WeightFile file =
            gs::read_weights_from_memory(std::as_bytes(std::span(data, size)), "fuzz");
        const gs::train::Checkpoint checkpoint = gs::train::checkpoint_of(file);
        if (checkpoint.state.step < 0 || checkpoint.state.log_bytes < 0) std::abort();
    } catch (const gs::Error& e) {
        if (e.kind() != gs::ErrorKind::Weights) std::abort();
    }
    return 0;
}
