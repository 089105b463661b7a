#include "tests/support/backends.h"

namespace gs::test {

CudaBackendsUnderTest cuda_backends_under_test() {
    CudaBackendsUnderTest found{.backends = {}, .alone = true};
    found.backends.push_back({"emulated-cuda", [](int) { return make_cuda_backend({}); }});
    found.backends.push_back(
        {"emulated-cuda-bf16", [](int) { return make_cuda_backend({.precision = Precision::BF16}); }});
    return found;
}

}  // namespace gs::test
