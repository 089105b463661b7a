// Image sets of kind list: refused with an Error, or every item can be read.
#include <cstddef>
#include <cstdint>

#include "data/image_set.h"
#include "tests/fuzz/image_set_target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    gs::test::open_and_read("list", {data, size}, ".txt", true);
    gs::test::open_and_read("list", {data, size}, ".txt", true, ":groups=2+1");
    return 0;
}
