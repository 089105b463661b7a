// The GPU of this machine, if there is one.
#include "core/devices.h"
#include "tests/support/backends.h"

namespace gs::test {

CudaBackendsUnderTest cuda_backends_under_test() {
    CudaBackendsUnderTest found;
    if (find_cuda_devices().devices.empty()) return found;
    found.backends.push_back({"cuda", [](int) { return make_cuda_backend({}); }});
    found.backends.push_back({"cuda-bf16", [](int) { return make_cuda_backend({.precision = Precision::BF16}); }});
    return found;
}

}  // namespace gs::test
