// Any bytes as an .npy file, alone and as an entry of an .npz: an Error, or an array whose data fit its
// shape.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/npy.h"
#include "tests/fuzz/read_anything.h"
#include "tests/weights/builders.h"
#include "weights/weight_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    try {
        const gs::npy::Array array =
            gs::npy::parse(gs::testing_weights::bytes_of(text), "fuzz", gs::ErrorKind::Weights);
        if (gs::npy::to_native(array).size() != array.data.size()) std::abort();
    } catch (const gs::Error& error) {
        if (error.kind() != gs::ErrorKind::Weights) std::abort();
    }
    gs::testing_weights::read_anything(gs::testing_weights::zip({{"a.npy", text}}));
    return 0;
}
