// Elementwise operations: bound by memory, one read of each input and one write.
#include "core/contract.h"
#include "cuda/cuda_backend.h"
#include "cuda/kernels/device.cuh"
#include "cuda/kernels/launch.h"
#include "cuda/kernels/pointwise.h"

namespace gs::cuda {
namespace {

__device__ int64_t global_index() {
    return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// body(i): values [i * W, (i + 1) * W) of all.
template <int W, class Body>
__global__ void __launch_bounds__(kBlock) flat_kernel(int64_t packs, Body body) {
    const int64_t i = global_index();
    if (i < packs) body(i * W);
}

template <int W, class Body>
void each_pack(const Context& context, const char* name, int64_t values, const Body& body) {
    if (values == 0) return;
    const int64_t packs = values / W;
    launch(context, name, flat_kernel<W, Body>, blocks_for(packs), kBlock, 0, packs, body);
}

template <class T, int W>
struct Add {
    const T *a, *b;
    T* y;
    Activation activation;
    __device__ void operator()(int64_t at) const {
        const Values<W> left = load<W>(a + at), right = load<W>(b + at);
        Values<W> sum;
        GS_UNROLL
        for (int i = 0; i < W; ++i) sum[i] = activated(left[i] + right[i], activation);
        store<W>(y + at, sum);
    }
};

template <class T, int W>
struct Activate {
    const T* x;
    T* y;
    Activation activation;
    __device__ void operator()(int64_t at) const {
        Values<W> values = load<W>(x + at);
        GS_UNROLL
        for (int i = 0; i < W; ++i) values[i] = activated(values[i], activation);
        store<W>(y + at, values);
    }
};

template <class T>
struct Fill {
    T* x;
    float value;
    __device__ void operator()(int64_t at) const { x[at] = static_cast<T>(value); }
};

template <class From, class To>
struct Convert {
    const From* from;
    To* to;
    __device__ void operator()(int64_t at) const { to[at] = static_cast<To>(static_cast<float>(from[at])); }
};

// y = act(scale[c] * x + shift[c])
template <class T, int W>
struct ChannelAffine {
    const T* x;
    T* y;
    const float *scale, *shift;
    int64_t channels;
    Activation activation;
    __device__ void operator()(int64_t at) const {
        const int64_t c = at % channels;
        const Values<W> in = load<W>(x + at);
        Values<W> out;
        GS_UNROLL
        for (int i = 0; i < W; ++i) out[i] = activated(scaled(in[i], scale[c + i], shift[c + i]), activation);
        store<W>(y + at, out);
    }
};

struct SignStep {
    const float *x, *g, *step;
    float* out;
    int64_t channels;
    __device__ void operator()(int64_t at) const {
        const float by = step[at % channels];
        out[at] = g[at] < 0.0f ? x[at] + by : x[at] - by;  // sgn(0) = +1
    }
};

// A map with `narrow` channels to or from one with `wide`, indexed by the wide one.
template <class From, class To, bool crop>
struct Repitch {
    const From* from;
    To* to;
    int64_t narrow, wide;
    __device__ void operator()(int64_t at) const {
        const int64_t pixel = at / wide, c = at % wide;
        if (crop) {
            if (c < narrow) to[pixel * narrow + c] = static_cast<To>(static_cast<float>(from[at]));
        } else {
            to[at] = c < narrow ? static_cast<To>(static_cast<float>(from[pixel * narrow + c])) : To{};
        }
    }
};

struct SplitImage {
    const float* from;
    Bf16* to;
    int64_t channels, wide;
    __device__ void operator()(int64_t at) const {
        const int64_t pixel = at / wide, place = at % wide;
        const bool is_rest = place >= channels;
        const int64_t c = is_rest ? place - channels : place;
        if (c >= channels) {
            to[at] = Bf16{};
            return;
        }
        const float value = from[pixel * channels + c];
        to[at] = Bf16(is_rest ? value - as_stored<Bf16>(value) : value);
    }
};

template <bool crop>
void repitch(Context& context, const View& from, const View& to) {
    const Shape& wide = crop ? from.shape : to.shape;
    const int64_t narrow = crop ? to.shape.c : from.shape.c;
    GS_REQUIRE(from.shape.n == to.shape.n && from.shape.pixels() == to.shape.pixels() && narrow <= wide.c);
    with_type(from.dtype, [&](auto in) {
        with_type(to.dtype, [&](auto out) {
            using From = decltype(in);
            using To = decltype(out);
            each_pack<1>(context, "channels padded or cropped", wide.size(),
                         Repitch<From, To, crop>{static_cast<const From*>(from.data),
                                                 static_cast<To*>(to.data), narrow, wide.c});
        });
    });
}

}  // namespace

void convert(Context& context, View from, View to) {
    GS_REQUIRE(from.shape.size() == to.shape.size());
    with_type(from.dtype, [&](auto in) {
        with_type(to.dtype, [&](auto out) {
            using From = decltype(in);
            using To = decltype(out);
            each_pack<1>(context, "conversion", from.shape.size(),
                         Convert<From, To>{static_cast<const From*>(from.data), static_cast<To*>(to.data)});
        });
    });
}

void convert(Context& context, const Bf16* from, float* to, int64_t count) {
    each_pack<1>(context, "conversion", count, Convert<Bf16, float>{from, to});
}

void pad_channels(Context& context, View x, View y) {
    repitch<false>(context, x, y);
}

void crop_channels(Context& context, View y, View x) {
    repitch<true>(context, y, x);
}

void split_image(Context& context, View x, View y) {
    GS_REQUIRE(x.shape.n == y.shape.n && x.shape.pixels() == y.shape.pixels() && 2 * x.shape.c <= y.shape.c);
    each_pack<1>(context, "image in two addends", y.shape.size(),
                 SplitImage{x.f32(), y.bf16(), x.shape.c, y.shape.c});
}

void CudaBackend::add(View a, View b, Activation activation, View y) {
    contract::add(a, b, y);
    const View views[] = {a, b, y};
    with_type_and_width(y.dtype, y.shape.size(), views, [&](auto value, auto width) {
        using T = decltype(value);
        constexpr int W = decltype(width)::kValue;
        each_pack<W>(*context_, "add", y.shape.size(),
                     Add<T, W>{static_cast<const T*>(a.data), static_cast<const T*>(b.data),
                               static_cast<T*>(y.data), activation});
    });
}

void activate(Context& context, View x, Activation activation, View y) {
    contract::activate(x, y);
    const View views[] = {x, y};
    with_type_and_width(y.dtype, y.shape.size(), views, [&](auto value, auto width) {
        using T = decltype(value);
        constexpr int W = decltype(width)::kValue;
        each_pack<W>(context, "activate", y.shape.size(),
                     Activate<T, W>{static_cast<const T*>(x.data), static_cast<T*>(y.data), activation});
    });
}

void CudaBackend::channel_affine(View x, View scale, View shift, Activation activation, View y) {
    contract::channel_affine(x, scale, shift, y);
    const View views[] = {x, y};
    with_type_and_width(y.dtype, y.shape.c, views, [&](auto value, auto width) {
        using T = decltype(value);
        constexpr int W = decltype(width)::kValue;
        each_pack<W>(*context_, "channel affine", y.shape.size(),
                     ChannelAffine<T, W>{static_cast<const T*>(x.data), static_cast<T*>(y.data), scale.f32(),
                                         shift.f32(), x.shape.c, activation});
    });
}

void CudaBackend::fill(View x, float value) {
    with_type(x.dtype, [&](auto zero) {
        using T = decltype(zero);
        each_pack<1>(*context_, "fill", x.shape.size(), Fill<T>{static_cast<T*>(x.data), value});
    });
}

void CudaBackend::copy(View from, View to) {
    contract::copy(from, to);
    check(cudaMemcpyAsync(to.data, from.data, from.bytes(), cudaMemcpyDeviceToDevice, context_->stream()),
          "copy of " + to_string(from.shape));
}

void CudaBackend::sign_step(View x, View g, View step, View out) {
    contract::sign_step(x, g, step, out);
    each_pack<1>(*context_, "sign step", x.shape.size(),
                 SignStep{x.f32(), g.f32(), step.f32(), out.f32(), x.shape.c});
}

}  // namespace gs::cuda
