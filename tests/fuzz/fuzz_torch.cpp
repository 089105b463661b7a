// A checkpoint's pickle inside PyTorch's two formats, with right lengths and checksums around it.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/read_anything.h"
#include "tests/weights/builders.h"
#include "weights/weight_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gs::testing_weights;
    const std::string text(reinterpret_cast<const char*>(data), size);
    read_anything(torch_zip_around(text));
    read_anything(legacy_around(text));
    return 0;
}
