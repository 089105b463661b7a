// What compute capability 9.0 adds, on the emulated device, after the PTX ISA: barriers in shared memory
// (mbarrier), box copies of the tensor memory accelerator, and products of a warpgroup (wgmma) that read
// shared memory by descriptor. A box arrives when chance has it, in no order; a product reads its operands
// and writes its sums at once or not before it is waited for, each lane for itself: a stage that is given
// back too early or read too soon shows as other numbers. Proxies' fences do nothing here.
//
// Shared memory starts at an address that is no multiple of 1024, as behind static variables.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "tests/emulated_cuda/async_groups.h"

namespace gs::emulated {

uint32_t shared_address(const void* shared);

void mbarrier_init(uint64_t* barrier, int arrivals);
void mbarrier_arrive(uint64_t* barrier);
void mbarrier_arrive_expecting(uint64_t* barrier, int bytes);
void mbarrier_wait(uint64_t* barrier, unsigned parity);

struct BoxPlace {
    int at[4];  // innermost first
};
void load_box(void* to, const CUtensorMap& map, const BoxPlace& place, uint64_t* barrier);
size_t loaded_boxes();  // so far, for tests

void wgmma_fence();
// d: n / 8 fragments of 4 of this thread. transposed: the operand's rows or columns lie side by side, not its
// depth (imm-trans-a, imm-trans-b).
void wgmma(float* d, int n, uint64_t a, uint64_t b, bool a_transposed, bool b_transposed);
void wgmma_commit();
void wgmma_wait(unsigned left);

// ---- What fibers.cpp has for it --------------------------------------------------------------------------

// This thread until `ready`; the block's others and its asynchronous work go on.
void wait_until(const std::function<bool()>& ready);
// Work of the block that is done at some time, in no order.
void start_async(std::function<void()> work);
std::span<std::byte> dynamic_shared_bytes();
unsigned thread_index();
bool chance();

struct Products {
    AsyncGroups<std::function<void()>> groups;
    bool fenced = false;
};
Products& products();  // of this thread

}  // namespace gs::emulated
