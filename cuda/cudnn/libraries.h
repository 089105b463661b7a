// cuDNN, cuBLAS and cuBLASLt, opened for one device and stream.
#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cudnn_graph.h>

#include <memory>
#include <string>

#include "cuda/context.h"

namespace gs::cuda {

void check(cublasStatus_t status, const std::string& call);

class Libraries {
  public:
    // Throws Error(Device) where a library cannot be used, or is older than what this program was built with.
    explicit Libraries(const Context& context);

    cudnnHandle_t cudnn() const { return cudnn_.get(); }
    cublasHandle_t blas() const { return blas_.get(); }
    cublasLtHandle_t blas_lt() const { return blas_lt_.get(); }
    const std::string& versions() const { return versions_; }  // "cuDNN 9.19.0, cuBLAS 13.1.0"

  private:
    struct Close {
        void operator()(cudnnHandle_t handle) const { cudnnDestroy(handle); }
        void operator()(cublasHandle_t handle) const { cublasDestroy(handle); }
        void operator()(cublasLtHandle_t handle) const { cublasLtDestroy(handle); }
    };
    std::unique_ptr<cudnnContext, Close> cudnn_;
    std::unique_ptr<cublasContext, Close> blas_;
    std::unique_ptr<cublasLtContext, Close> blas_lt_;
    std::string versions_;
};

}  // namespace gs::cuda
