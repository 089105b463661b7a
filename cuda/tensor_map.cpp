#include "cuda/tensor_map.h"

#include <cuda_runtime.h>

#include "cuda/runtime.h"

namespace gs::cuda {
namespace {

// From the driver that is there: programs are not linked with it, and start without one.
auto encoder() {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
    check(
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault, &found),
        "cuTensorMapEncodeTiled");
#else
    check(cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &entry, cudaEnableDefault, &found),
          "cuTensorMapEncodeTiled");
#endif
    if (found != cudaDriverEntryPointSuccess || entry == nullptr)
        throw Error(ErrorKind::Device, "the GPU's driver has no cuTensorMapEncodeTiled; update it");
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(entry);
}

}  // namespace

CUtensorMap make_tensor_map(const View& map, int box_h, int box_w) {
    static const auto encode = encoder();
    GS_REQUIRE(map.dtype == DType::BF16);
    const auto n = static_cast<cuuint64_t>(map.shape.n), h = static_cast<cuuint64_t>(map.shape.h),
               w = static_cast<cuuint64_t>(map.shape.w), c = static_cast<cuuint64_t>(map.shape.c);
    const cuuint64_t sizes[] = {c, w, h, n}, strides[] = {2 * c, 2 * c * w, 2 * c * w * h};
    const cuuint32_t box[] = {kTmaChannels, static_cast<cuuint32_t>(box_w), static_cast<cuuint32_t>(box_h),
                              1},
                     steps[] = {1, 1, 1, 1};
    CUtensorMap encoded;
    const CUresult result = encode(&encoded, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, map.data, sizes, strides,
                                   box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                   CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (result != CUDA_SUCCESS)
        throw Error(ErrorKind::Internal, "cuTensorMapEncodeTiled of " + to_string(map.shape) + ": error " +
                                             std::to_string(static_cast<int>(result)));
    return encoded;
}

}  // namespace gs::cuda
