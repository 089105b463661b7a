// A caller whose own threads are OpenMP's: scratch memory must not be chosen by their numbers, and libraries
// must not be promised threads that they then do not get.
#include <gtest/gtest.h>
#include <omp.h>

#include <functional>

#include "tests/reference/convolution.h"
#include "tests/support/maps.h"
#include "tests/support/standardised_case.h"

namespace gs::test {
namespace {

// By the last thread of a team, while the others wait.
void in_a_team(const std::function<void()>& work) {
#pragma omp parallel num_threads(4)
    {
        if (omp_get_thread_num() == omp_get_num_threads() - 1) work();
    }
}

void with_dynamic_threads(const std::function<void()>& work) {
    const int before = omp_get_dynamic();
    omp_set_dynamic(1);
    work();
    omp_set_dynamic(before);
}

void with_few_threads_by_default(const std::function<void()>& work) {
    const int before = omp_get_max_threads();
    omp_set_num_threads(1);
    work();
    omp_set_num_threads(before);
}

struct Caller {
    const char* name;
    void (*run)(const std::function<void()>&);
};
const Caller kCallers[] = {{"in a team", in_a_team},
                           {"dynamic threads", with_dynamic_threads},
                           {"one thread by default", with_few_threads_by_default}};

// body(backend) on every CPU backend with one thread and with three, by every caller. It throws nothing.
void by_every_caller(const std::function<void(const Maps&, Backend&)>& body) {
    on_every_map_type([&](const Maps& maps) {
        for (const BackendUnderTest& b : maps.backends())
            for (const int threads : {1, 3})
                for (const Caller& caller : kCallers) {
                    SCOPED_TRACE(b.name + ", " + std::to_string(threads) + " threads, " + caller.name);
                    const auto backend = b.make(threads);
                    caller.run([&] { body(maps, *backend); });
                }
    });
}

TEST(CallerThreads, ConvolutionsAreRight) {
    const ConvSpec specs[] = {{16, 32, 3, 3, 1, 1, 1}, {19, 23, 3, 3, 2, 1, 1}, {24, 24, 3, 3, 1, 1, 24}};
    by_every_caller([&](const Maps& maps, Backend& backend) {
        for (const ConvSpec& spec : specs) {
            const Shape w = weight_shape(spec);
            const auto weights = maps.rounded(random_values(w.size(), Fill::Normal, 1));
            const auto x = maps.random({5, 9, 7, spec.in_channels}, Fill::Normal, 2);
            const auto dy = maps.random(spec.output_shape(x.shape), Fill::Normal, 3);
            const auto convolution = backend.make_convolution(spec, weights, {});
            const DeviceTensor in = maps.put(backend, x), gradient = maps.put(backend, dy),
                               y = maps.output(backend, dy.shape), dx = maps.output(backend, x.shape),
                               dw(backend, w);
            convolution->forward(in, y, Activation::None);
            convolution->backward_data(gradient, dx);
            convolution->backward_weights(in, gradient, dw);
            const auto wide = ref::cast<double>(weights);
            expect_close("y", y.download(),
                         ref::convolution(spec, ref::cast<double>(x), wide, {}, Activation::None),
                         maps.tolerance(4e-6));
            expect_close("dx", dx.download(),
                         ref::convolution_backward_data(spec, ref::cast<double>(dy), wide, x.shape),
                         maps.tolerance(4e-6));
            expect_close("dw", dw.download().values,
                         ref::convolution_backward_weights(spec, ref::cast<double>(x), ref::cast<double>(dy)),
                         1e-5);
        }
    });
}

// Every operation with scratch memory of a thread: the same bits as by an ordinary caller.
TEST(CallerThreads, NormsAndStatisticsAreTheSameBits) {
    const Shape map{2, 6, 5, 24};
    const ConvSpec dense{24, 20, 3, 3, 1, 1, 1}, depthwise{24, 24, 3, 3, 1, 1, 24};
    const auto run = [&](const Maps& maps, Backend& backend) {
        const auto x = maps.random(map, Fill::Normal, 1);
        const DeviceTensor in = maps.put(backend, x);
        std::vector<std::vector<float>> results;
        const DeviceTensor stats(backend, Shape{map.n, 1, 4, 2});
        backend.group_norm_stats(in, {.groups = 4}, stats);
        results.push_back(stats.download().values);
        for (const ConvSpec& spec : {dense, depthwise})
            for (const double p : {1.0, 2.0}) {
                const DeviceTensor dy = maps.put(backend, maps.random(spec.output_shape(map).with_n(4),
                                                                      Fill::Normal, 2)),
                                   out(backend, Shape{4, 1, 1, 1});
                const PowerSum norm{p, out};
                backend.weight_gradient_norm({.spec = spec, .x = in, .dy = dy, .norms = {&norm, 1}});
                results.push_back(out.download().values);
            }
        if (backend.combines_weight_gradients()) {
            const DeviceTensor dy = maps.put(backend,
                                             maps.random(dense.output_shape(map).with_n(6), Fill::Normal, 2)),
                               coefficients(backend, random_tensor({2, 1, 1, 3}, Fill::Normal, 3)),
                               out(backend, Shape{2, 1, 1, 1});
            backend.combined_gradient_norm(
                {.gradients = {.spec = dense, .x = in, .dy = dy}, .coefficients = coefficients, .out = out});
            results.push_back(out.download().values);
        }
        return results;
    };
    on_every_map_type([&](const Maps& maps) {
        for (const BackendUnderTest& b : maps.backends()) {
            const auto want = run(maps, *b.backend);
            for (const int threads : {1, 3})
                for (const Caller& caller : kCallers) {
                    SCOPED_TRACE(b.name + ", " + std::to_string(threads) + " threads, " + caller.name);
                    const auto backend = b.make(threads);
                    std::vector<std::vector<float>> got;
                    caller.run([&] { got = run(maps, *backend); });
                    ASSERT_EQ(got.size(), want.size());
                    for (size_t i = 0; i < want.size(); ++i)
                        expect_same_bits("result " + std::to_string(i), got[i], want[i]);
                }
        }
    });
}

}  // namespace
}  // namespace gs::test
