// Accelerators the machine has, whether or not this version can run nets on them.
#pragma once

#include <string>
#include <vector>

namespace gs {

struct CudaDevices {
    bool built = false;                // this build looked for CUDA devices (GRADSCORE_CUDA)
    std::vector<std::string> devices;  // "0: NVIDIA H200, 139.8 GiB, compute capability 9.0"
    std::string reason;                // why there are none
};

// Never throws: a missing driver or device is a reason. Defined in cuda/, bound by the linker.
CudaDevices find_cuda_devices();

}  // namespace gs
