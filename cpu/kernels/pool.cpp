#include "cpu/kernels/declarations.h"
#include "cpu/kernels/vector.h"

namespace gs::cpu::GS_ISA {
namespace {

constexpr int32_t kPaddingWon = 255;

GS_INLINE bool inside(int64_t i, int64_t size) {
    return i >= 0 && i < size;
}

// Positions are visited in row order and a later one must be larger to win: ties go to the first. NaN wins
// and stays, as in PyTorch.
template <class T>
void max_pool(const T* x, const PoolWindow& window, T* y, uint8_t* winner) {
    const int64_t h0 = window.oh * window.stride - window.pad, w0 = window.ow * window.stride - window.pad;
    for_lanes(window.c, [&](int64_t i, auto lanes) {
        Vec best{};
        Mask best_at{};
        bool first = true;
        for (int64_t kh = 0; kh < window.kernel; ++kh) {
            for (int64_t kw = 0; kw < window.kernel; ++kw) {
                const int64_t ih = h0 + kh, iw = w0 + kw;
                const bool real = inside(ih, window.h) && inside(iw, window.w);
                if (!real && !window.zero_padding) continue;
                const Vec v = real ? lanes.load(x + (ih * window.w + iw) * window.c + i) : Vec{};
                const int32_t at = real ? static_cast<int32_t>(kh * window.kernel + kw) : kPaddingWon;
                const Mask wins = first ? ~Mask{} : (Mask)(v > best) | (Mask)(v != v);
                best = select(wins, v, best);
                best_at = (best_at & ~wins) | ((Mask{} + at) & wins);
                first = false;
            }
        }
        lanes.store(y + i, best);
        if (winner) lanes.store(winner + i, best_at);
    });
}

template <class T>
void max_pool_backward(const T* dy, const uint8_t* winner, const PoolWindow& window, int64_t ih, int64_t iw,
                       T* dx) {
    const int64_t h = ih + window.pad, w = iw + window.pad;
    for_lanes(window.c, [&](int64_t i, auto lanes) {
        Vec sum{};
        for (int64_t kh = h % window.stride; kh < window.kernel && kh <= h; kh += window.stride) {
            const int64_t oh = (h - kh) / window.stride;
            if (oh >= window.oh) continue;
            for (int64_t kw = w % window.stride; kw < window.kernel && kw <= w; kw += window.stride) {
                const int64_t ow = (w - kw) / window.stride;
                if (ow >= window.ow) continue;
                const int64_t from = (oh * window.ow + ow) * window.c + i;
                const Mask at = Mask{} + static_cast<int32_t>(kh * window.kernel + kw);
                sum += keep(lanes.load(dy + from), lanes.load(winner + from) == at);
            }
        }
        lanes.store(dx + i, sum);
    });
}

}  // namespace

template <class T>
void set_pool(MapKernels<T>& table) {
    table.max_pool = max_pool<T>;
    table.max_pool_backward = max_pool_backward<T>;
}
template void set_pool(MapKernels<float>&);
template void set_pool(MapKernels<Bf16>&);

}  // namespace gs::cpu::GS_ISA
