// A safetensors header and data; the length before them is put right.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/read_anything.h"
#include "tests/weights/builders.h"
#include "weights/weight_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gs::testing_weights;
    const std::string text(reinterpret_cast<const char*>(data), size);
    read_anything(header_and_data(text));
    return 0;
}
