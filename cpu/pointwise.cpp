// Elementwise operations and reductions of maps.
#include <cmath>
#include <cstring>

#include "core/contract.h"
#include "cpu/activate.h"
#include "cpu/cpu_backend.h"
#include "cpu/map_type.h"
#include "cpu/sinks.h"

namespace gs::cpu {
namespace {

// Partial sums of a frozen norm's gamma, and their end.
template <class T>
class GammaSums {
  public:
    GammaSums(Context& context, const NormalisedSum& args, const Shape& shape, const Slabs& slabs)
        : args_(args), shape_(shape), slabs_(slabs) {
        if (!args.out) return;
        x_ = args.x.as<T>();
        sums_ = context.partial_sums.get<float>(static_cast<size_t>(shape.n * slabs.count * shape.c));
    }
    CenteredSum<T> slab(int64_t row, int64_t slab) const {
        if (sums_ == nullptr) return {};
        const T* x = x_ + row % args_.x.shape.n * shape_.per_sample();
        return {x + slabs_.offset(slab), args_.mean.f32(), sums_ + (row * slabs_.count + slab) * shape_.c};
    }
    void write(int64_t row) const {
        for (int64_t c = 0; sums_ != nullptr && c < shape_.c; ++c) {
            double sum = 0;
            for (int64_t s = 0; s < slabs_.count; ++s)
                sum += static_cast<double>(sums_[(row * slabs_.count + s) * shape_.c + c]);
            args_.out.f32()[row * shape_.c + c] =
                static_cast<float>(static_cast<double>(args_.rstd.f32()[c]) * sum);
        }
    }

  private:
    const NormalisedSum& args_;
    const Shape& shape_;
    const Slabs& slabs_;
    const T* x_ = nullptr;
    float* sums_ = nullptr;  // [row][slab][c]
};

}  // namespace

void CpuBackend::channel_affine(View x, View scale, View shift, Activation activation, View y) {
    contract::channel_affine(x, scale, shift, y);
    const Slabs slabs(x.shape.n * x.shape.pixels(), x.shape.c);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        each(slabs.count, [&](int64_t s) {
            kernels().maps<T>().affine(x.as<T>() + slabs.offset(s), slabs.size(s), x.shape.c, scale.f32(),
                                       shift.f32(), activation, y.as<T>() + slabs.offset(s));
        });
    });
}

void activate(const Context& context, View x, Activation activation, View y) {
    contract::activate(x, y);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        in_chunks(context.threads, x.shape.size(), [&](int64_t first, int64_t size) {
            context.kernels.maps<T>().activate(x.as<T>() + first, size, activation, y.as<T>() + first);
        });
    });
}

void CpuBackend::activate(View x, Activation activation, View y) {
    cpu::activate(*context_, x, activation, y);
}

void CpuBackend::add(View a, View b, Activation activation, View y) {
    contract::add(a, b, y);
    with_type(y, [&](auto type) {
        using T = decltype(type);
        in_chunks(context_->threads, y.shape.size(), [&](int64_t first, int64_t size) {
            kernels().maps<T>().add(a.as<T>() + first, b.as<T>() + first, size, activation,
                                    y.as<T>() + first);
        });
    });
}

void CpuBackend::sign_step(View x, View g, View step, View out) {
    contract::sign_step(x, g, step, out);
    const Slabs slabs(x.shape.n * x.shape.pixels(), x.shape.c);
    each(slabs.count, [&](int64_t s) {
        const int64_t at = slabs.offset(s);
        kernels().sign_step(x.f32() + at, g.f32() + at, slabs.size(s), x.shape.c, step.f32(), out.f32() + at);
    });
}

void CpuBackend::pointwise_backward(const PointwiseBackward& args) {
    contract::pointwise_backward(args);
    with_type(args.terms.front(), [&](auto type) { join<decltype(type)>(args); });
}

template <class T>
void CpuBackend::join(const PointwiseBackward& args) {
    const TermPointers<T> terms(args.terms);
    const Shape shape = terms.shape();
    const bool masked = args.activation != Activation::None;
    const int64_t samples = masked ? args.y.shape.n : shape.n;
    const Slabs slabs(shape);
    const GammaSums<T> gamma(*context_, args.gamma, shape, slabs);
    const SinkSums sums(context_->sinks, args.sinks, shape, slabs);
    each(shape.n * slabs.count, [&](int64_t unit) {
        const int64_t row = unit / slabs.count, slab = unit % slabs.count;
        const int64_t inside = slabs.offset(slab), at = row * shape.per_sample() + inside;
        kernels().maps<T>().pointwise_backward(
            terms.at(at), slabs.size(slab), shape.c, args.activation,
            masked ? args.y.as<T>() + row % samples * shape.per_sample() + inside : nullptr, args.scale.f32(),
            args.addend ? args.addend.as<T>() + at : nullptr, args.dx ? args.dx.as<T>() + at : nullptr,
            sums.slab(row, slab), gamma.slab(row, slab));
    });
    each(shape.n, [&](int64_t row) {
        sums.write(row);
        gamma.write(row);
    });
}

void CpuBackend::reduce(View x, std::span<const TapSink> sinks) {
    contract::reduce(x, sinks);
    const Slabs slabs(x.shape);
    const SinkSums sums(context_->sinks, sinks, x.shape, slabs);
    with_type(x, [&](auto type) {
        using T = decltype(type);
        each(x.shape.n * slabs.count, [&](int64_t unit) {
            const int64_t row = unit / slabs.count, slab = unit % slabs.count;
            kernels().maps<T>().channel_sums(x.as<T>() + row * x.shape.per_sample() + slabs.offset(slab),
                                             slabs.size(slab), x.shape.c, x.shape.c, sums.slab(row, slab));
        });
    });
    each(x.shape.n, [&](int64_t row) { sums.write(row); });
}

void CpuBackend::fill(View x, float value) {
    with_type(x, [&](auto type) {
        using T = decltype(type);
        in_chunks(context_->threads, x.shape.size(), [&](int64_t first, int64_t size) {
            std::fill_n(x.as<T>() + first, size, static_cast<T>(value));
        });
    });
}

void CpuBackend::copy(View from, View to) {
    contract::copy(from, to);
    const auto copy_bytes = [&](int64_t first, int64_t size) {
        std::memcpy(static_cast<std::byte*>(to.data) + first,
                    static_cast<const std::byte*>(from.data) + first, static_cast<size_t>(size));
    };
    in_chunks(context_->threads, static_cast<int64_t>(from.bytes()), copy_bytes,
              Slabs::kFloats * static_cast<int64_t>(sizeof(float)));
}

}  // namespace gs::cpu
