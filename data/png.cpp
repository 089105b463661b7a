// PNG through libspng, which hands over rows as stored (SPNG_FMT_PNG); the way to RGB is ours, because it
// must be Pillow's: 16-bit colour keeps the high byte, 16-bit grey is clipped to 255, alpha and tRNS are
// dropped.
#include <spng.h>

#include <algorithm>
#include <array>
#include <memory>

#include "data/decode.h"

namespace gs::detail {
namespace {

struct FreeContext {
    void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};
using Context = std::unique_ptr<spng_ctx, FreeContext>;

void check(int code) {
    if (code != 0) throw Error(ErrorKind::Data, std::string("broken PNG: ") + spng_strerror(code));
}

using Palette = std::array<std::array<uint8_t, 3>, 256>;

// Grey of 1, 2, 4 bits is a palette of 2, 4, 16 greys. Pillow's palettes, too, go on as greys after their
// end.
Palette make_palette(spng_ctx* context, const spng_ihdr& header) {
    Palette palette{};
    const bool grey = header.color_type == SPNG_COLOR_TYPE_GRAYSCALE;
    const unsigned step = grey && header.bit_depth < 8 ? 255u / ((1u << header.bit_depth) - 1u) : 1u;
    for (unsigned i = 0; i < 256; ++i) palette[i].fill(static_cast<uint8_t>(std::min(i * step, 255u)));
    if (grey) return palette;
    spng_plte stored{};
    check(spng_get_plte(context, &stored));
    for (uint32_t i = 0; i < std::min<uint32_t>(stored.n_entries, 256); ++i)
        palette[i] = {stored.entries[i].red, stored.entries[i].green, stored.entries[i].blue};
    return palette;
}

struct Converter {
    const spng_ihdr& header;
    const Palette& palette;

    int channels() const {
        switch (header.color_type) {
            case SPNG_COLOR_TYPE_TRUECOLOR:
                return 3;
            case SPNG_COLOR_TYPE_GRAYSCALE_ALPHA:
                return 2;
            case SPNG_COLOR_TYPE_TRUECOLOR_ALPHA:
                return 4;
            default:
                return 1;
        }
    }

    void row(const uint8_t* stored, uint8_t* rgb) const {
        if (channels() == 1 && header.bit_depth == 16) return grey16(stored, rgb);
        if (channels() == 1) return indexed(stored, rgb);
        const int bytes = header.bit_depth / 8, step = channels() * bytes;
        const int green = channels() == 2 ? 0 : bytes, blue = 2 * green;
        for (uint32_t x = 0; x < header.width; ++x, stored += step, rgb += 3) {
            rgb[0] = stored[0];
            rgb[1] = stored[green];
            rgb[2] = stored[blue];
        }
    }

    void indexed(const uint8_t* stored, uint8_t* rgb) const {
        const unsigned bits = header.bit_depth, mask = (1u << bits) - 1u;
        for (uint32_t x = 0; x < header.width; ++x, rgb += 3) {
            const size_t bit = size_t{x} * bits;
            const unsigned index = (stored[bit / 8] >> (8 - bits - bit % 8)) & mask;
            std::copy(palette[index].begin(), palette[index].end(), rgb);
        }
    }

    void grey16(const uint8_t* stored, uint8_t* rgb) const {
        for (uint32_t x = 0; x < header.width; ++x, stored += 2, rgb += 3)
            rgb[0] = rgb[1] = rgb[2] = stored[0] != 0 ? 255 : stored[1];
    }
};

// Reads the rows of every pass; what comes after the last one (checksums, other chunks) is not looked at.
void read_rows(spng_ctx* context, const spng_ihdr& header, size_t row_bytes, std::vector<uint8_t>& stored) {
    check(spng_decode_image(context, nullptr, 0, SPNG_FMT_RAW, SPNG_DECODE_PROGRESSIVE));
    for (int code = 0; code != SPNG_EOI;) {
        spng_row_info info{};
        check(spng_get_row_info(context, &info));
        GS_REQUIRE(info.row_num < header.height);
        code = spng_decode_row(context, stored.data() + info.row_num * row_bytes, row_bytes);
        if (code != SPNG_EOI) check(code);
    }
}

}  // namespace

Image decode_png(std::span<const std::byte> file, const DecodeLimits& limits) {
    const Context context(spng_ctx_new(SPNG_CTX_IGNORE_ADLER32));
    if (!context) throw std::bad_alloc();
    constexpr size_t kChunk = size_t{64} << 20;
    check(spng_set_chunk_limits(context.get(), kChunk, kChunk));
    check(spng_set_png_buffer(context.get(), file.data(), file.size()));
    spng_ihdr header{};
    check(spng_get_ihdr(context.get(), &header));
    check_dimensions(header.width, header.height, limits);

    size_t size = 0;
    check(spng_decoded_image_size(context.get(), SPNG_FMT_RAW, &size));
    const size_t row_bytes = size / header.height;
    std::vector<uint8_t> stored(size);
    read_rows(context.get(), header, row_bytes, stored);

    const Palette palette =
        header.color_type == SPNG_COLOR_TYPE_GRAYSCALE || header.color_type == SPNG_COLOR_TYPE_INDEXED
            ? make_palette(context.get(), header)
            : Palette{};
    Image image{header.width, header.height, {}};
    image.rgb.resize(size_t{header.width} * header.height * 3);
    const Converter converter{header, palette};
    for (size_t y = 0; y < header.height; ++y)
        converter.row(stored.data() + y * row_bytes, image.rgb.data() + y * header.width * 3);
    return image;
}

}  // namespace gs::detail
