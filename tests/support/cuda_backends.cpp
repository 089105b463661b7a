// The GPU of this machine, if there is one.
#include "core/devices.h"
#include "tests/support/backends.h"

namespace gs::test {

CudaBackendsUnderTest cuda_backends_under_test() {
    CudaBackendsUnderTest found;
    if (find_cuda_devices().devices.empty()) return found;
    const auto add = [&](const std::string& name, Precision precision) {
        // Deterministic: what is timed is chosen anew in every process, and may add by atomics.
        const auto make = [precision](int) {
            return make_cuda_backend({.precision = precision, .deterministic = true});
        };
        found.backends.push_back({.name = name, .make = make, .one_order = false});
    };
    add("cuda", Precision::F32);
    add("cuda-bf16", Precision::BF16);
    return found;
}

}  // namespace gs::test
