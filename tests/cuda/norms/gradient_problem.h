// A layer with data, the norms of its gradients in double, and by a backend.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "core/devices.h"
#include "tests/reference/weight_gradient.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"

namespace gs::test {

const std::vector<double> kExponents = {0.5, 1, 2, 3, std::numeric_limits<double>::infinity()};

struct Layer {
    std::string name;
    Shape x;
    ConvSpec spec;
    bool scaled = false, standardised = false;
};

struct Problem {
    Layer layer;
    ref::Tensor<float> x, dy, w;
    std::vector<float> scale;

    Problem(const Layer& l, int64_t cotangents, Fill fill = Fill::Normal)
        : layer(l),
          x(random_tensor(l.x, fill, 1)),
          dy(random_tensor(l.spec.output_shape(l.x).with_n(cotangents * l.x.n), fill, 2)),
          w(random_tensor({1, l.spec.out_channels, l.spec.kernel_h * l.spec.kernel_w, l.x.c}, Fill::Normal,
                          3)) {
        if (l.scaled) scale = random_values(l.spec.out_channels, Fill::OffKinks, 4);
    }
    void round_to_bf16() {
        for (ref::Tensor<float>* map : {&x, &dy})
            for (float& value : map->values) value = static_cast<float>(Bf16(value));
    }
    std::vector<double> gradient(int64_t row) const {
        return stored(ref::weight_gradient(layer.spec, ref::cast<double>(x), ref::cast<double>(dy), row));
    }
    std::vector<double> stored(std::vector<double> g) const {
        return ref::stored_gradient(std::move(g), layer.spec.out_channels, scale,
                                    layer.standardised ? w.values : std::vector<float>{});
    }
    // Products and sums over positions in float32, as a plain route has them.
    std::vector<double> float_gradient(int64_t row) const {
        const ConvSpec& spec = layer.spec;
        std::vector<double> g;
        for (int64_t o = 0; o < spec.out_channels; ++o)
            for (int64_t k = 0; k < w.shape.w * w.shape.c; ++k) {
                const int64_t kh = k / x.shape.c / spec.kernel_w, kw = k / x.shape.c % spec.kernel_w;
                float sum = 0;
                for (int64_t h = 0; h < dy.shape.h; ++h)
                    for (int64_t v = 0; v < dy.shape.w; ++v) {
                        const int64_t ih = h * spec.stride - spec.pad + kh,
                                      iw = v * spec.stride - spec.pad + kw;
                        if (x.has(ih, iw))
                            sum = std::fma(dy.at(row, h, v, o), x.at(row % x.shape.n, ih, iw, k % x.shape.c),
                                           sum);
                    }
                g.push_back(static_cast<double>(sum));
            }
        return stored(std::move(g));
    }
    // [exponent][row]
    std::vector<std::vector<float>> norms(Backend& backend, const std::vector<double>& exponents = kExponents,
                                          DType type_x = DType::F32, DType type_dy = DType::F32) const {
        const DeviceTensor in(backend, x, type_x), delta(backend, dy, type_dy), weights(backend, w),
            factors(backend, scale);
        std::vector<DeviceTensor> outs;
        std::vector<PowerSum> sums;
        for (size_t i = 0; i < exponents.size(); ++i) outs.emplace_back(backend, Shape{dy.shape.n, 1, 1, 1});
        for (size_t i = 0; i < exponents.size(); ++i) sums.push_back({exponents[i], outs[i]});
        backend.weight_gradient_norm({.spec = layer.spec,
                                      .x = in,
                                      .dy = delta,
                                      .scale = layer.scaled ? factors.view() : View{},
                                      .standardised = layer.standardised ? weights.view() : View{},
                                      .norms = sums});
        std::vector<std::vector<float>> values;
        for (const DeviceTensor& out : outs) values.push_back(out.download().values);
        return values;
    }
};

// A GPU, or the emulated device.
inline bool is_here() {
    return !find_cuda_devices().devices.empty();
}

// Lives until another one is asked for: one at a time on a device may let blocks wait for each other.
inline Backend& backend_of(Precision precision, bool wgmma = false) {
    static std::unique_ptr<Backend> backend;
    static std::pair<Precision, bool> of;
    if (!backend || of != std::pair(precision, wgmma)) {
        backend = nullptr;
        backend = make_cuda_backend({.precision = precision, .wgmma_norms = wgmma});
        of = {precision, wgmma};
    }
    return *backend;
}

// Of the norm, not of the power sum.
inline double relative_error(double got, double want, double p) {
    const double error = std::abs(got / want - 1);
    return p >= 1 && !std::isinf(p) ? error / p : error;
}

// Norms against loops in double over the maps' own values.
inline void expect_norms(const Problem& problem, Backend& backend, const std::vector<double>& exponents,
                         DType type_x, DType type_dy, double tolerance) {
    const auto got = problem.norms(backend, exponents, type_x, type_dy);
    for (int64_t r = 0; r < problem.dy.shape.n; ++r) {
        const std::vector<double> gradient = problem.gradient(r);
        for (size_t e = 0; e < exponents.size(); ++e) {
            const double p = exponents[e],
                         error = relative_error(static_cast<double>(got[e][static_cast<size_t>(r)]),
                                                ref::power_sum(gradient, p), p);
            EXPECT_TRUE(error <= tolerance)
                << problem.layer.name << ", p = " << p << ", row " << r << ": " << error;
        }
    }
}

// A sample's norms alone and in a batch of three, and twice.
inline void expect_same_bits_in_any_batch(const Layer& layer, Backend& backend, DType maps,
                                          const std::vector<double>& exponents = {
                                              1, std::numeric_limits<double>::infinity()}) {
    Layer several = layer;
    several.x.n = 3;
    const Problem batch(several, 1);
    Problem alone(layer, 1);
    alone.layer.x.n = 1;
    for (ref::Tensor<float>* map : {&alone.x, &alone.dy}) {
        const ref::Tensor<float>& all = map == &alone.x ? batch.x : batch.dy;
        *map = ref::Tensor<float>(all.shape.with_n(1));
        std::copy_n(all.values.end() - map->shape.size(), map->shape.size(), map->values.begin());
    }
    const auto norms = [&](const Problem& problem) { return problem.norms(backend, exponents, maps, maps); };
    const auto first = norms(batch), again = norms(batch), one = norms(alone);
    for (size_t e = 0; e < exponents.size(); ++e) {
        expect_same_bits("again", again[e], first[e]);
        expect_same_bits("alone", one[e], {first[e].back()});
    }
}

}  // namespace gs::test
