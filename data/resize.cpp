// Pillow's bilinear resize of 8-bit images (its Resample.c: windowed triangle filter, 22-bit fixed point, a
// uint8 image between the passes), computing only the part of the result that is asked for.
#include "data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gs {
namespace {

constexpr int kBits = 22;
constexpr int32_t kHalf = 1 << (kBits - 1);

// The taps of outputs [begin, end) along one axis: input positions first[i] .. first[i] + count[i] - 1.
struct Taps {
    std::vector<int64_t> first;
    std::vector<int> count;
    std::vector<int32_t> weights;  // [outputs][width]
    int width = 0;

    const int32_t* of(size_t i) const { return weights.data() + i * static_cast<size_t>(width); }
};

Taps make_taps(int64_t in, int64_t out, int64_t begin, int64_t end) {
    const double scale = static_cast<double>(in) / static_cast<double>(out);
    const double support = std::max(scale, 1.0), inverse = 1.0 / support;
    Taps taps;
    taps.width = static_cast<int>(std::ceil(support)) * 2 + 1;
    std::vector<double> exact(static_cast<size_t>(taps.width));
    for (int64_t i = begin; i < end; ++i) {
        const double centre = (static_cast<double>(i) + 0.5) * scale;
        const int64_t low = std::max<int64_t>(0, static_cast<int64_t>(centre - support + 0.5));
        const int64_t high = std::min(in, static_cast<int64_t>(centre + support + 0.5));
        const auto count = static_cast<size_t>(high - low);
        double sum = 0;
        for (size_t j = 0; j < count; ++j) {
            const double distance =
                (static_cast<double>(low + static_cast<int64_t>(j)) - centre + 0.5) * inverse;
            exact[j] = std::max(0.0, 1.0 - std::abs(distance));
            sum += exact[j];
        }
        for (size_t j = 0; j < count; ++j) {
            if (sum != 0.0) exact[j] /= sum;
            taps.weights.push_back(static_cast<int32_t>(0.5 + exact[j] * (1 << kBits)));
        }
        taps.weights.resize(taps.weights.size() + static_cast<size_t>(taps.width) - count);
        taps.first.push_back(low);
        taps.count.push_back(static_cast<int>(count));
    }
    return taps;
}

uint8_t to_byte(int32_t sum) {
    return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255));
}

// One row of the vertical pass: out[i] = sum over the taps of weight * rows[tap][i].
[[gnu::always_inline]] inline void blend_rows(const uint8_t* in, int64_t stride, const int32_t* weights,
                                              int count, uint8_t* out, int64_t bytes) {
    constexpr int64_t kBlock = 64;  // sums that stay in registers
    int64_t i = 0;
    for (; i + kBlock <= bytes; i += kBlock) {
        int32_t sums[kBlock];
        for (int64_t j = 0; j < kBlock; ++j) sums[j] = kHalf;
        for (int t = 0; t < count; ++t)
            for (int64_t j = 0; j < kBlock; ++j) sums[j] += weights[t] * in[t * stride + i + j];
        for (int64_t j = 0; j < kBlock; ++j) out[i + j] = to_byte(sums[j]);
    }
    for (; i < bytes; ++i) {
        int32_t sum = kHalf;
        for (int t = 0; t < count; ++t) sum += weights[t] * in[t * stride + i];
        out[i] = to_byte(sum);
    }
}

// One row of the horizontal pass.
void blend_pixels(const uint8_t* in, const Taps& taps, uint8_t* out) {
    for (size_t i = 0; i < taps.first.size(); ++i, out += 3) {
        const int32_t* weights = taps.of(i);
        const uint8_t* pixel = in + taps.first[i] * 3;
        int32_t sums[3] = {kHalf, kHalf, kHalf};
        for (int t = 0; t < taps.count[i]; ++t, pixel += 3)
            for (int c = 0; c < 3; ++c) sums[c] += weights[t] * pixel[c];
        for (int c = 0; c < 3; ++c) out[c] = to_byte(sums[c]);
    }
}

// Both passes for the instruction sets that multiply 32-bit integers well; chosen when running, so that one
// binary suits every machine. Integers: all of them give the same bytes. `pixels` may read and write kBeyond
// bytes after the end of a row.
constexpr int64_t kBeyond = 1;

struct Kernels {
    void (*rows)(const uint8_t* in, int64_t stride, const int32_t* weights, int count, uint8_t* out,
                 int64_t bytes);
    void (*pixels)(const uint8_t* in, const Taps& taps, uint8_t* out);
};

struct Portable {
    static void rows(const uint8_t* in, int64_t stride, const int32_t* weights, int count, uint8_t* out,
                     int64_t bytes) {
        blend_rows(in, stride, weights, count, out, bytes);
    }
    static void pixels(const uint8_t* in, const Taps& taps, uint8_t* out) { blend_pixels(in, taps, out); }
};

#if defined(__x86_64__)
struct Avx2 {
    [[gnu::target("avx2")]] static void rows(const uint8_t* in, int64_t stride, const int32_t* weights,
                                             int count, uint8_t* out, int64_t bytes) {
        blend_rows(in, stride, weights, count, out, bytes);
    }

    // A pixel is read and written as 4 bytes, of which 3 count.
    [[gnu::target("avx2")]] static void pixels(const uint8_t* in, const Taps& taps, uint8_t* out) {
        for (size_t i = 0; i < taps.first.size(); ++i, out += 3) {
            const int32_t* weights = taps.of(i);
            const uint8_t* pixel = in + taps.first[i] * 3;
            __m128i sum = _mm_set1_epi32(kHalf);
            for (int t = 0; t < taps.count[i]; ++t, pixel += 3) {
                int32_t bytes;
                std::memcpy(&bytes, pixel, sizeof bytes);
                const __m128i values = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes));
                sum = _mm_add_epi32(sum, _mm_mullo_epi32(values, _mm_set1_epi32(weights[t])));
            }
            const __m128i shorts = _mm_packs_epi32(_mm_srai_epi32(sum, kBits), _mm_setzero_si128());
            const int32_t result = _mm_cvtsi128_si32(_mm_packus_epi16(shorts, _mm_setzero_si128()));
            std::memcpy(out, &result, sizeof result);
        }
    }
};
#endif

constexpr Kernels kPortable{Portable::rows, Portable::pixels};

const Kernels& best_kernels() {
    static const Kernels chosen = [] {
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx2")) return Kernels{Avx2::rows, Avx2::pixels};
#endif
        return kPortable;
    }();
    return chosen;
}

Image blank(int64_t width, int64_t height) {
    return {width, height, std::vector<uint8_t>(static_cast<size_t>(width * height * 3))};
}

struct Span {
    int64_t first = 0, count = 0;
};

// The inputs that the taps read; the taps are then counted from the first of them.
Span rebase(Taps& taps) {
    const int64_t first = taps.first.front(), last = taps.first.back() + taps.count.back();
    for (int64_t& tap : taps.first) tap -= first;
    return {first, last - first};
}

// The columns of `taps` in the given rows.
Image resize_columns(const Image& image, const Taps& taps, Span rows, const Kernels& kernels) {
    Image out = blank(static_cast<int64_t>(taps.first.size()), rows.count);
    const int64_t in_row = image.width * 3, out_row = out.width * 3;
    const uint8_t* in = image.rgb.data() + rows.first * in_row;
    // Rows overlap by the bytes beyond, which the next row overwrites; the last ones go through buffers.
    std::vector<uint8_t> padded_in(static_cast<size_t>(in_row + kBeyond));
    std::vector<uint8_t> padded_out(static_cast<size_t>(out_row + kBeyond));
    for (int64_t y = 0; y < rows.count; ++y) {
        uint8_t* row = out.rgb.data() + y * out_row;
        if ((rows.count - 1 - y) * std::min(in_row, out_row) >= kBeyond) {
            kernels.pixels(in + y * in_row, taps, row);
            continue;
        }
        std::copy_n(in + y * in_row, in_row, padded_in.begin());
        kernels.pixels(padded_in.data(), taps, padded_out.data());
        std::copy_n(padded_out.begin(), out_row, row);
    }
    return out;
}

// The rows of `taps` in the given columns.
Image resize_rows(const Image& image, const Taps& taps, Span columns, const Kernels& kernels) {
    Image out = blank(columns.count, static_cast<int64_t>(taps.first.size()));
    const int64_t in_row = image.width * 3, out_row = out.width * 3;
    const uint8_t* in = image.rgb.data() + columns.first * 3;
    for (size_t y = 0; y < taps.first.size(); ++y)
        kernels.rows(in + taps.first[y] * in_row, in_row, taps.of(y), taps.count[y],
                     out.rgb.data() + static_cast<int64_t>(y) * out_row, out_row);
    return out;
}

Image cut(const Image& image, const detail::Region& region) {
    Image out = blank(region.width, region.height);
    for (int64_t y = 0; y < region.height; ++y)
        std::copy_n(image.rgb.begin() + ((region.top + y) * image.width + region.left) * 3, region.width * 3,
                    out.rgb.begin() + y * region.width * 3);
    return out;
}

bool vertical_first(const Image& image, Size size, ResizeOrder order) {
    const int64_t rows_lost = image.height - size.height, columns_lost = image.width - size.width;
    return order == ResizeOrder::Pillow13 && rows_lost > 0 && rows_lost > 2 * columns_lost;
}

// The image between the passes, and the weights, grow with the longer side: one of 1 x 100,000,000 pixels
// would become hundreds of gigabytes on its way to 480 x 480.
void check_between(const Image& image, Size size, const detail::Region& region, bool rows_first) {
    constexpr double kMost = 1 << 28;
    const auto ratio = [](int64_t in, int64_t out) { return std::max(1.0, double(in) / double(out)); };
    const double across = ratio(image.width, size.width), down = ratio(image.height, size.height);
    const double rows = std::min(double(image.height), double(region.height) * down + 2 * down);
    const double columns = std::min(double(image.width), double(region.width) * across + 2 * across);
    const double between = rows_first ? columns * double(region.height) : rows * double(region.width);
    const double weights = 2 * across * double(region.width) + 2 * down * double(region.height);
    if (std::max(between, weights) > kMost)
        throw Error(ErrorKind::Data, std::to_string(image.width) + "x" + std::to_string(image.height) +
                                         " pixels are too long and narrow to be resized");
}

}  // namespace

Image detail::resize_region(const Image& image, Size size, const Region& region, ResizeOrder order,
                            bool portable) {
    GS_REQUIRE(image.width > 0 && image.height > 0 && region.width > 0 && region.height > 0);
    GS_REQUIRE(region.left >= 0 && region.left + region.width <= size.width);
    GS_REQUIRE(region.top >= 0 && region.top + region.height <= size.height);
    const bool same_width = size.width == image.width, same_height = size.height == image.height;
    if (same_width && same_height) return cut(image, region);

    const bool rows_first = vertical_first(image, size, order);
    check_between(image, size, region, rows_first);
    Taps x = make_taps(image.width, size.width, region.left, region.left + region.width);
    Taps y = make_taps(image.height, size.height, region.top, region.top + region.height);
    const Kernels& kernels = portable ? kPortable : best_kernels();
    if (same_width) return resize_rows(image, y, {region.left, region.width}, kernels);
    if (same_height) return resize_columns(image, x, {region.top, region.height}, kernels);
    if (rows_first) {
        const Span columns = rebase(x);
        return resize_columns(resize_rows(image, y, columns, kernels), x, {0, region.height}, kernels);
    }
    const Span rows = rebase(y);
    return resize_rows(resize_columns(image, x, rows, kernels), y, {0, region.width}, kernels);
}

Image resize_bilinear(const Image& image, int64_t width, int64_t height, ResizeOrder order) {
    return detail::resize_region(image, {width, height}, {0, 0, width, height}, order);
}

}  // namespace gs
