#include "cuda/cudnn/libraries.h"

#include "cuda/cudnn/graph.h"

namespace gs::cuda {

namespace {

std::string version_text(size_t major, size_t minor, size_t patch) {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

// cuDNN 9 counts 10000 * major + 100 * minor + patch, as cuBLAS does.
std::string version_text(size_t number) {
    return version_text(number / 10000, number / 100 % 100, number % 100);
}

// Later releases of one major version run programs that were built with earlier ones.
void check_cudnn_version(size_t loaded) {
    const size_t built = CUDNN_VERSION;
    if (loaded >= built && loaded / 10000 == built / 10000) return;
    throw Error(ErrorKind::Device, "cuDNN " + version_text(loaded) +
                                       " was loaded, but gradscore was built with " + version_text(built) +
                                       "; put that one's folder first in LD_LIBRARY_PATH");
}

}  // namespace

void check(cublasStatus_t status, const std::string& call) {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    const bool machine = status == CUBLAS_STATUS_NOT_INITIALIZED || status == CUBLAS_STATUS_ALLOC_FAILED ||
                         status == CUBLAS_STATUS_ARCH_MISMATCH;
    throw Error(machine ? ErrorKind::Device : ErrorKind::Internal,
                call + ": " + cublasGetStatusString(status));
}

Libraries::Libraries(const Context& context) {
    check_cudnn_version(cudnnGetVersion());
    cudnnHandle_t cudnn = nullptr;
    check(cudnnCreate(&cudnn), "cudnnCreate");
    cudnn_.reset(cudnn);
    check(cudnnSetStream(cudnn, context.stream()), "cudnnSetStream");

    cublasHandle_t blas = nullptr;
    check(cublasCreate(&blas), "cublasCreate");
    blas_.reset(blas);
    check(cublasSetStream(blas, context.stream()), "cublasSetStream");
    // Sums of partial products stay float32 where the result is bfloat16.
    const auto math =
        static_cast<cublasMath_t>(CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION);
    check(cublasSetMathMode(blas, math), "cublasSetMathMode");
    cublasLtHandle_t blas_lt = nullptr;
    check(cublasLtCreate(&blas_lt), "cublasLtCreate");
    blas_lt_.reset(blas_lt);

    int version = 0;
    check(cublasGetVersion(blas, &version), "cublasGetVersion");
    versions_ =
        "cuDNN " + version_text(cudnnGetVersion()) + ", cuBLAS " + version_text(static_cast<size_t>(version));
}

}  // namespace gs::cuda
