#include "tools/encode_image.h"

#include <jpeglib.h>
#include <spng.h>

#include <cstdio>  // jpeglib.h needs FILE
#include <cstdlib>
#include <memory>
#include <span>
#include <string>

namespace gs {
namespace {

struct Free {
    void operator()(void* memory) const { std::free(memory); }
};

std::vector<std::byte> copy_bytes(const void* data, size_t size) {
    const auto* first = static_cast<const std::byte*>(data);
    return {first, first + size};
}

void require_image(const Image& image) {
    GS_REQUIRE(image.width > 0 && image.height > 0);
    GS_REQUIRE(image.rgb.size() == static_cast<size_t>(image.width * image.height * 3));
}

// libjpeg's default handler ends the process.
[[noreturn]] void throw_jpeg_error(j_common_ptr info) {
    char text[JMSG_LENGTH_MAX];
    info->err->format_message(info, text);
    throw Error(ErrorKind::Internal, std::string("cannot encode a JPEG: ") + text);
}

struct JpegEncoder {
    jpeg_error_mgr errors{};
    jpeg_compress_struct info{};
    unsigned char* memory = nullptr;
    unsigned long size = 0;

    JpegEncoder() {
        info.err = jpeg_std_error(&errors);
        errors.error_exit = throw_jpeg_error;
        jpeg_create_compress(&info);
        jpeg_mem_dest(&info, &memory, &size);
    }
    ~JpegEncoder() {
        jpeg_destroy_compress(&info);
        std::free(memory);
    }
    JpegEncoder(const JpegEncoder&) = delete;
    JpegEncoder& operator=(const JpegEncoder&) = delete;
};

}  // namespace

std::vector<std::byte> encode_png(const Image& image) {
    require_image(image);
    const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> context(spng_ctx_new(SPNG_CTX_ENCODER),
                                                                 spng_ctx_free);
    spng_ihdr header{};
    header.width = static_cast<uint32_t>(image.width);
    header.height = static_cast<uint32_t>(image.height);
    header.bit_depth = 8;
    header.color_type = SPNG_COLOR_TYPE_TRUECOLOR;
    int error = context ? 0 : SPNG_EMEM;
    if (!error) error = spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1);
    if (!error) error = spng_set_ihdr(context.get(), &header);
    if (!error)
        error = spng_encode_image(context.get(), image.rgb.data(), image.rgb.size(), SPNG_FMT_PNG,
                                  SPNG_ENCODE_FINALIZE);
    size_t size = 0;
    const std::unique_ptr<void, Free> png(error ? nullptr
                                                : spng_get_png_buffer(context.get(), &size, &error));
    if (error) throw Error(ErrorKind::Internal, std::string("cannot encode a PNG: ") + spng_strerror(error));
    return copy_bytes(png.get(), size);
}

std::vector<std::byte> encode_jpeg(const Image& image, int quality) {
    require_image(image);
    JpegEncoder encoder;
    jpeg_compress_struct& info = encoder.info;
    info.image_width = static_cast<JDIMENSION>(image.width);
    info.image_height = static_cast<JDIMENSION>(image.height);
    info.input_components = 3;
    info.in_color_space = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    jpeg_start_compress(&info, TRUE);
    std::vector<unsigned char> row(static_cast<size_t>(image.width) * 3);  // libjpeg wants a mutable row
    for (int64_t y = 0; y < image.height; ++y) {
        const auto source = std::span(image.rgb).subspan(static_cast<size_t>(y) * row.size(), row.size());
        std::copy(source.begin(), source.end(), row.begin());
        JSAMPROW pointer = row.data();
        jpeg_write_scanlines(&info, &pointer, 1);
    }
    jpeg_finish_compress(&info);
    return copy_bytes(encoder.memory, encoder.size);
}

}  // namespace gs
