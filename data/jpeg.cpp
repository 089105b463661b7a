// JPEG through libjpeg-turbo. The data source suspends at the end of the data and never makes up an end
// marker, as Pillow's does: so truncated images are refused, and images whose last row is there are read.

#include <algorithm>
#include <csetjmp>
// clang-format off
#include <cstdio>  // jpeglib.h needs it before
#include <jpeglib.h>
// clang-format on

#include "data/decode.h"

namespace gs::detail {
namespace {

struct ErrorManager {
    jpeg_error_mgr base;  // first: libjpeg hands back a pointer to it
    std::jmp_buf escape;
    const char* refusal;  // ours, where libjpeg has none
    bool failed;
};

[[noreturn]] void fail(j_common_ptr info) {
    auto* errors = reinterpret_cast<ErrorManager*>(info->err);
    errors->failed = true;
    std::longjmp(errors->escape, 1);
}

void ignore_message(j_common_ptr) {}
void ignore_source(j_decompress_ptr) {}
boolean suspend(j_decompress_ptr) {
    return FALSE;
}

void skip_input(j_decompress_ptr info, long count) {
    jpeg_source_mgr& source = *info->src;
    const size_t skipped = count < 0 ? 0 : std::min(static_cast<size_t>(count), source.bytes_in_buffer);
    source.next_input_byte += skipped;
    source.bytes_in_buffer -= skipped;
}

// A scan costs time by the image's size, not by the file's, and 1 MB can hold 100,000 empty scans: refuse
// what no encoder writes (a full progression has 10 to 100 scans) once it would take many seconds.
void bound_scans(j_common_ptr common) {
    constexpr int64_t kScans = 100, kScannedPixels = 20'000'000'000;
    const auto* info = reinterpret_cast<j_decompress_ptr>(common);
    const int64_t pixels = int64_t{info->image_width} * info->image_height;
    if (info->input_scan_number <= kScans || info->input_scan_number <= kScannedPixels / pixels) return;
    reinterpret_cast<ErrorManager*>(common->err)->refusal = "a JPEG with too many scans";
    fail(common);
}

// Everything that must be freed however decoding ends. Nothing with a destructor may be created between
// setjmp and longjmp, so that lives here, outside decode().
struct Decoder {
    jpeg_decompress_struct info{};
    ErrorManager errors{};
    jpeg_source_mgr source{};
    jpeg_progress_mgr progress{};
    Image image;
    std::vector<uint8_t> line;  // one row of CMYK or grey

    explicit Decoder(std::span<const std::byte> file) {
        info.err = jpeg_std_error(&errors.base);
        errors.base.error_exit = fail;
        errors.base.output_message = ignore_message;
        source.init_source = source.term_source = ignore_source;
        source.fill_input_buffer = suspend;
        source.skip_input_data = skip_input;
        source.resync_to_restart = jpeg_resync_to_restart;
        source.next_input_byte = reinterpret_cast<const JOCTET*>(file.data());
        source.bytes_in_buffer = file.size();
        progress.progress_monitor = bound_scans;
    }
    ~Decoder() { jpeg_destroy_decompress(&info); }
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    bool create();
    bool read_header();
    bool read_rows();
    [[noreturn]] void refuse();
};

bool Decoder::create() {
    if (setjmp(errors.escape) != 0) return false;
    jpeg_create_decompress(&info);
    info.src = &source;
    info.progress = &progress;
    return true;
}

bool Decoder::read_header() {
    if (setjmp(errors.escape) != 0) return false;
    int got = JPEG_HEADER_TABLES_ONLY;
    while (got == JPEG_HEADER_TABLES_ONLY) got = jpeg_read_header(&info, FALSE);
    return got == JPEG_HEADER_OK;
}

// Pillow's conversion of (inverted, as Adobe's are) CMYK.
void cmyk_to_rgb(const uint8_t* cmyk, uint8_t* rgb, int64_t width) {
    for (int64_t x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
        const int not_black = cmyk[3];  // 255 - k, where k = 255 - stored
        for (int c = 0; c < 3; ++c) {
            const int t = (255 - cmyk[c]) * not_black + 128;
            rgb[c] = static_cast<uint8_t>(not_black - (((t >> 8) + t) >> 8));
        }
    }
}

void grey_to_rgb(const uint8_t* grey, uint8_t* rgb, int64_t width) {
    for (int64_t x = 0; x < width; ++x, rgb += 3) rgb[0] = rgb[1] = rgb[2] = grey[x];
}

bool starts_frame(int marker) {
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

bool Decoder::read_rows() {
    if (setjmp(errors.escape) != 0) return false;
    const bool direct = info.num_components == 3;
    info.out_color_space = direct ? JCS_RGB : info.num_components == 4 ? JCS_CMYK : JCS_GRAYSCALE;
    // Room for the coefficients of a progressive image: 2 bytes and 4 components, with blocks beyond the
    // edges.
    info.mem->max_memory_to_use =
        (int64_t{64} << 20) + 16 * int64_t{info.image_width} * int64_t{info.image_height};
    if (!jpeg_start_decompress(&info)) return false;
    const int64_t stride = image.width * 3;
    while (info.output_scanline < info.output_height) {
        uint8_t* rgb = image.rgb.data() + info.output_scanline * stride;
        JSAMPROW row = direct ? rgb : line.data();
        if (jpeg_read_scanlines(&info, &row, 1) != 1) return false;
        if (info.num_components == 4) cmyk_to_rgb(row, rgb, image.width);
        if (info.num_components == 1) grey_to_rgb(row, rgb, image.width);
    }
    // A missing end is no fault, a wrong marker is. libjpeg-turbo before 3.0 notices a second frame only once
    // it has read that marker's data.
    if (jpeg_finish_decompress(&info) == FALSE && starts_frame(info.unread_marker)) {
        errors.refusal = "broken JPEG: two SOF markers";
        return false;
    }
    return true;
}

void Decoder::refuse() {
    if (errors.refusal != nullptr) throw Error(ErrorKind::Data, errors.refusal);
    if (!errors.failed) throw Error(ErrorKind::Data, "truncated JPEG");
    char text[JMSG_LENGTH_MAX] = {};
    errors.base.format_message(reinterpret_cast<j_common_ptr>(&info), text);
    throw Error(ErrorKind::Data, std::string("broken JPEG: ") + text);
}

}  // namespace

Image decode_jpeg(std::span<const std::byte> file, const DecodeLimits& limits) {
    Decoder decoder(file);
    if (!decoder.create() || !decoder.read_header()) decoder.refuse();
    const jpeg_decompress_struct& info = decoder.info;
    if (info.num_components != 1 && info.num_components != 3 && info.num_components != 4)
        throw Error(ErrorKind::Data, "a JPEG with " + std::to_string(info.num_components) + " components");
    check_dimensions(info.image_width, info.image_height, limits);
    decoder.image.width = info.image_width;
    decoder.image.height = info.image_height;
    decoder.image.rgb.resize(static_cast<size_t>(decoder.image.width * decoder.image.height * 3));
    decoder.line.resize(static_cast<size_t>(decoder.image.width * 4));
    if (!decoder.read_rows()) decoder.refuse();
    return std::move(decoder.image);
}

}  // namespace gs::detail
