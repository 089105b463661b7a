// The backends that the tests run on. One more (another device, another precision) joins by a line in
// all_backends(): the operation tests run on it whatever it stores maps as (tests/support/maps.h), all other
// tests where that is float32.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/backend.h"

namespace gs::test {

struct BackendUnderTest {
    std::string name;  // "cpu", "cpu-onednn"; later "cuda"
    std::function<std::unique_ptr<Backend>(int threads)> make;
    std::shared_ptr<Backend> backend{};  // one thread
    bool exact = true;                   // convolutions of small integers are exact: no Winograd
    // A convolution adds in one order whatever the batch. cuDNN and cuBLAS choose by its size: a sample's
    // bits then depend on what it is computed with.
    bool one_order = true;
};

// GPUs of this machine, or the emulated one where a program is linked with it; that one stands alone, the
// others have run elsewhere.
struct CudaBackendsUnderTest {
    std::vector<BackendUnderTest> backends;
    bool alone = false;
};
CudaBackendsUnderTest cuda_backends_under_test();

// Direct convolutions, whose results on small integers are exact. Winograd: tests/cpu/test_winograd.cpp.
inline std::unique_ptr<Backend> make_cpu_backend_with(int threads, bool use_onednn) {
    CpuOptions options;
    options.threads = threads;
    options.use_onednn = use_onednn;
    options.winograd = false;
    return make_cpu_backend(options);
}

inline std::unique_ptr<Backend> make_bf16_backend(int threads, bool use_onednn) {
    CpuOptions options;
    options.threads = threads;
    options.use_onednn = use_onednn;
    options.precision = Precision::BF16;
    return make_cpu_backend(options);
}

// Makes it; false where this machine cannot.
inline bool is_here(BackendUnderTest& b) {
    try {
        b.backend = b.make(1);
        std::printf("[ backend  ] %s: %s\n", b.name.c_str(), b.backend->description().c_str());
        return true;
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::Device) throw;
        std::printf("[ backend  ] %s: %s\n", b.name.c_str(), error.what());
        return false;
    }
}

// GRADSCORE_BACKENDS=cuda,cuda-bf16: the tests run on these alone, and a run that lacks one fails.
inline std::vector<std::string> promised_backends() {
    const char* promised = std::getenv("GRADSCORE_BACKENDS");
    std::istringstream text(promised ? promised : "");
    std::vector<std::string> names;
    for (std::string name; std::getline(text, name, ',');) names.push_back(name);
    return names;
}

inline void keep_promised(std::vector<BackendUnderTest>& list) {
    const std::vector<std::string> names = promised_backends();
    if (names.empty()) return;
    std::erase_if(list, [&](const BackendUnderTest& b) { return std::ranges::count(names, b.name) == 0; });
    for (const std::string& name : names)
        if (std::ranges::count(list, name, &BackendUnderTest::name) == 0)
            throw std::runtime_error("GRADSCORE_BACKENDS names the backend '" + name +
                                     "', which is not in this build or on this machine");
}

inline void add_cpu_backends(std::vector<BackendUnderTest>& list) {
    list.push_back({"cpu", [](int threads) { return make_cpu_backend_with(threads, false); }});
#ifdef GRADSCORE_HAS_ONEDNN
    list.push_back({"cpu-onednn", [](int threads) { return make_cpu_backend_with(threads, true); }});
#endif
    // What the product runs; last, so that back() is it.
    list.push_back({.name = "cpu-default",
                    .make = [](int threads) { return make_cpu_backend({.threads = threads}); },
                    .exact = false});
    list.push_back({"cpu-bf16", [](int threads) { return make_bf16_backend(threads, false); }});
#ifdef GRADSCORE_HAS_ONEDNN
    list.push_back({"cpu-onednn-bf16", [](int threads) { return make_bf16_backend(threads, true); }});
#endif
}

// Made once, printed once. Throws where GRADSCORE_BACKENDS is not met, which fails every test.
inline const std::vector<BackendUnderTest>& all_backends() {
    static const std::vector<BackendUnderTest> backends = [] {
        auto [list, alone] = cuda_backends_under_test();
        if (!alone) add_cpu_backends(list);
        keep_promised(list);
        std::erase_if(list, [](BackendUnderTest& b) { return !is_here(b); });
        keep_promised(list);  // one that cannot be made
        return list;
    }();
    return backends;
}

// Those that store maps as `maps`.
inline const std::vector<BackendUnderTest>& backends_under_test(DType maps = DType::F32) {
    static const auto of_type = [](DType type) {
        std::vector<BackendUnderTest> list;
        for (const BackendUnderTest& b : all_backends())
            if (b.backend->map_type() == type) list.push_back(b);
        return list;
    };
    static const std::vector<BackendUnderTest> f32 = of_type(DType::F32), bf16 = of_type(DType::BF16);
    return maps == DType::BF16 ? bf16 : f32;
}

inline bool has_one_order(const Backend& backend) {
    return std::ranges::none_of(all_backends(), [&](const BackendUnderTest& b) {
        return b.backend.get() == &backend && !b.one_order;
    });
}

// Runs `test(backend)` on every backend, its name in the trace of a failure.
template <class F>
void on_every_backend(const F& test, bool exact_only = true, DType maps = DType::F32) {
    for (const BackendUnderTest& b : backends_under_test(maps)) {
        if (exact_only && !b.exact) continue;
        SCOPED_TRACE("backend " + b.name);
        test(*b.backend);
    }
}
// With the product's own choice of algorithms: for tests whose tolerance is not zero.
template <class F>
void on_every_backend_and_default(const F& test) {
    on_every_backend(test, false);
}

// On those that are not exact too: for tests of whole nets, which have tolerances or compare a backend with
// itself.
template <class F>
void on_all_backends(const F& test) {
    on_every_backend(test, false);
}

}  // namespace gs::test
