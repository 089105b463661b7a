// JPEG and PNG: refused with an Error, or an image of the promised size that can be resized.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "data/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const gs::Image image =
            gs::decode_image(std::as_bytes(std::span(data, size)), {.max_pixels = 1 << 18});
        if (image.rgb.size() != static_cast<size_t>(image.width * image.height * 3)) std::abort();
        gs::Preprocess preprocess;
        preprocess.short_side = 20;
        preprocess.crop = gs::Size{16, 24};
        if (gs::transform(image, preprocess).rgb.size() != 16 * 24 * 3) std::abort();
    } catch (const gs::Error& error) {
        if (error.kind() != gs::ErrorKind::Data) std::abort();
    }
    return 0;
}
