// Tensors of any names and shapes, with any text as --arch: refused with one line, or a net that has a plan.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/backend.h"
#include "cpu/cpu_backend.h"
#include "nets/net.h"
#include "passes/executor.h"
#include "tests/fuzz/described_net.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const std::unique_ptr<gs::Backend> backend = gs::make_cpu_backend({.threads = 1});
    try {
        const gs::Net net =
            gs::test::build_described_net(*backend, {reinterpret_cast<const char*>(data), size});
        if (net.nodes.empty() || net.name.empty() || net.head.classes < 1) std::abort();
    } catch (const gs::Error& error) {
        if (error.kind() == gs::ErrorKind::Internal || error.kind() == gs::ErrorKind::Device) std::abort();
        if (std::string_view(error.what()).find('\n') != std::string_view::npos) std::abort();
    }
    return 0;
}
