// PNG through libspng. Which files are good, and the way from stored rows to RGB, must be Pillow's. So
// libspng gets a PNG made anew of the chunks that count (Pillow forgives what follows the last row, and what
// ancillary chunks hold), and hands over raw rows: 16-bit colour keeps the high byte, 16-bit grey is clipped
// to 255, alpha and tRNS are dropped.
#include <spng.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "core/ascii.h"
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

using Bytes = std::span<const std::byte>;

uint32_t big_endian(Bytes bytes) {
    uint32_t value = 0;
    for (std::byte b : bytes.first(4)) value = value << 8 | static_cast<uint32_t>(b);
    return value;
}

[[noreturn]] void broken(const std::string& what) {
    throw Error(ErrorKind::Data, "broken PNG: " + what);
}

struct Chunk {
    std::string name;
    Bytes data;            // as far as the file goes
    bool complete, sound;  // all of it is there; and its checksum is right
};

// Takes the chunk that `rest` begins with off it; nothing where no chunk begins.
std::optional<Chunk> next_chunk(Bytes& rest) {
    if (rest.size() < 8) return {};
    const size_t length = big_endian(rest);
    Chunk chunk{std::string(reinterpret_cast<const char*>(rest.data()) + 4, 4), {}, false, false};
    const auto is_name = [](char c) { return is_ascii_alphanumeric(c) || c == '_'; };
    if (!std::all_of(chunk.name.begin(), chunk.name.end(), is_name)) return {};
    chunk.data = rest.subspan(8, std::min(length, rest.size() - 8));
    chunk.complete = length + 12 <= rest.size();
    if (chunk.complete) {
        const auto* covered = reinterpret_cast<const Bytef*>(rest.data()) + 4;
        chunk.sound = crc32_z(0, covered, length + 4) == big_endian(rest.subspan(8 + length));
    }
    rest = rest.subspan(chunk.complete ? length + 12 : rest.size());
    return chunk;
}

// The chunks that make the image. Up to the image data every chunk must be sound; these may lack their end.
struct Chunks {
    Bytes header, palette;
    std::vector<Bytes> data;
};

Chunks find_chunks(Bytes file) {
    Chunks found;
    Bytes rest = file.subspan(8);
    std::optional<Chunk> chunk = next_chunk(rest);
    for (; chunk && chunk->name != "IDAT"; chunk = next_chunk(rest)) {
        if (!chunk->sound) broken("chunk " + chunk->name + " is cut off or its checksum is wrong");
        if (chunk->name == "IHDR") found.header = chunk->data;
        if (chunk->name == "PLTE") found.palette = chunk->data;
        if (chunk->name == "IEND") break;
    }
    if (!chunk || chunk->name != "IDAT") broken("no image data in it");
    if (found.header.size() < 13) broken("no IHDR before the image data");
    for (; chunk && chunk->name == "IDAT"; chunk = next_chunk(rest)) found.data.push_back(chunk->data);
    return found;
}

constexpr size_t kBitDepth = 8, kColourType = 9;  // offsets in IHDR

using Palette = std::array<std::array<uint8_t, 3>, 256>;

// Grey of 1, 2, 4 bits is a palette of 2, 4, 16 greys. Pillow's palettes, too, go on as greys after their
// end.
Palette make_palette(const Chunks& chunks) {
    const auto depth = static_cast<unsigned>(chunks.header[kBitDepth]);
    const bool grey = static_cast<int>(chunks.header[kColourType]) == SPNG_COLOR_TYPE_GRAYSCALE;
    const unsigned step = grey && depth < 8 ? 255u / ((1u << depth) - 1u) : 1u;
    Palette palette{};
    for (unsigned i = 0; i < 256; ++i) palette[i].fill(static_cast<uint8_t>(std::min(i * step, 255u)));
    for (size_t i = 0; !grey && i < std::min<size_t>(chunks.palette.size() / 3, 256); ++i)
        for (size_t c = 0; c < 3; ++c) palette[i][c] = static_cast<uint8_t>(chunks.palette[3 * i + c]);
    return palette;
}

void append_number(std::vector<std::byte>& png, uint32_t number) {
    for (int shift = 24; shift >= 0; shift -= 8)
        png.push_back(static_cast<std::byte>(number >> shift & 0xff));
}

void append_chunk(std::vector<std::byte>& png, std::string_view name, std::span<const Bytes> parts) {
    size_t length = 0;
    for (Bytes part : parts) length += part.size();
    if (length > 0x7fffffff) broken("more than 2 GiB of image data");
    append_number(png, static_cast<uint32_t>(length));
    const size_t covered = png.size();
    for (char c : name) png.push_back(static_cast<std::byte>(c));
    for (Bytes part : parts) png.insert(png.end(), part.begin(), part.end());
    const auto* begin = reinterpret_cast<const Bytef*>(png.data() + covered);
    append_number(png, static_cast<uint32_t>(crc32_z(0, begin, length + 4)));
}

std::vector<std::byte> rebuild(Bytes file, const Chunks& chunks) {
    std::vector<std::byte> png(file.begin(), file.begin() + 8);
    const std::array<Bytes, 1> header{chunks.header.first(13)};
    const std::array<std::byte, 3> some_colour{};
    const std::array<Bytes, 1> palette{
        some_colour};  // required, but not used: rows are asked for as they are
    append_chunk(png, "IHDR", header);
    if (static_cast<int>(chunks.header[kColourType]) == SPNG_COLOR_TYPE_INDEXED)
        append_chunk(png, "PLTE", palette);
    append_chunk(png, "IDAT", chunks.data);
    append_chunk(png, "IEND", {});
    return png;
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
    while (true) {
        spng_row_info info{};
        const int next = spng_get_row_info(context, &info);
        if (next == SPNG_EOI) return;  // interlaced, and the last passes are empty
        check(next);
        GS_REQUIRE(info.row_num < header.height);
        const int code = spng_decode_row(context, stored.data() + info.row_num * row_bytes, row_bytes);
        if (code == SPNG_EOI) return;
        check(code);
    }
}

}  // namespace

Image decode_png(std::span<const std::byte> file, const DecodeLimits& limits) {
    const Chunks chunks = find_chunks(file);
    check_dimensions(big_endian(chunks.header), big_endian(chunks.header.subspan(4)), limits);
    const std::vector<std::byte> png = rebuild(file, chunks);
    const Context context(spng_ctx_new(0));
    if (!context) throw std::bad_alloc();
    check(spng_set_png_buffer(context.get(), png.data(), png.size()));
    spng_ihdr header{};
    check(spng_get_ihdr(context.get(), &header));

    size_t size = 0;
    check(spng_decoded_image_size(context.get(), SPNG_FMT_RAW, &size));
    const size_t row_bytes = size / header.height;
    std::vector<uint8_t> stored(size);
    read_rows(context.get(), header, row_bytes, stored);

    const Palette palette = make_palette(chunks);
    Image image{header.width, header.height, {}};
    image.rgb.resize(size_t{header.width} * header.height * 3);
    const Converter converter{header, palette};
    for (size_t y = 0; y < header.height; ++y)
        converter.row(stored.data() + y * row_bytes, image.rgb.data() + y * header.width * 3);
    return image;
}

}  // namespace gs::detail
