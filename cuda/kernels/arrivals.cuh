// Blocks of one kernel that wait for each other's results. A block takes its place in the order of work when
// it starts, by a ticket: all tickets before its own then belong to blocks that run or have ended. Where a
// group of consecutive tickets is no larger than the number of blocks the device holds at once, waiting for
// the whole group ends: take the first group that is not done; as long as one of its tickets is not taken,
// nobody but the group itself runs, and there is room for the next. So it is of one such kernel at a time on
// a device: WaitingRight (cuda/context.h).
#pragma once

#include "cuda/kernels/device.cuh"

namespace gs::cuda {

// The place of this block, for every thread. next: 0 before the kernel.
__device__ inline unsigned take_ticket(unsigned* next) {
    __shared__ unsigned ticket;
    if (threadIdx.x == 0) ticket = atomicAdd(next, 1u);
    __syncthreads();
    const unsigned mine = ticket;
    __syncthreads();
    return mine;
}

__device__ inline unsigned load_acquire(const unsigned* from) {
#if defined(__CUDACC__)
    unsigned value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];"
                 : "=r"(value)
                 : "l"(__cvta_generic_to_global(from))
                 : "memory");
    return value;
#else
    return *from;
#endif
}

// What this block's threads wrote before is there for the group, and what the other blocks of the group did
// for this one, once `size` blocks have arrived. To be read past the first-level cache (__ldcg).
// arrived: 0 before the kernel, one a group. Every thread of the block must call it.
__device__ inline void wait_for_group(unsigned* arrived, unsigned size) {
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        atomicAdd(arrived, 1u);
        while (load_acquire(arrived) < size) {
#if defined(__CUDACC__)
            __nanosleep(64);
#else
            emulated::let_other_blocks_run();
#endif
        }
    }
    __syncthreads();
}

}  // namespace gs::cuda
