// What PTX's matrix and copy instructions do, on the emulated device (cuda/kernels/mma.cuh has the layouts).
// A warp's lanes meet, and one of them computes for all: their registers lie in one address space here.
// Products are exact and summed exactly with the accumulator, which is then cut to float32: hardware rounds
// no better, so that what relies on rounding to nearest shows. Bits below tf32's are ignored, as there. An
// asynchronous copy happens at once or not before it is waited for, as chance has it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gs::emulated {

// d: m x n accumulators of 4, a: m fragments of 4, b: n fragments of 2 registers.
void multiply(bool bf16, float* d, const uint32_t* a, const uint32_t* b, int m, int n);
void load_transposed(uint32_t* registers, const void* row);
uint32_t rounded_to_tf32(float value);
// Towards zero.
float cut_to_float(double exact);

void copy_async(void* to, const void* from, size_t bytes, bool exists);
void commit_copies();
void wait_for_copies(unsigned left);

}  // namespace gs::emulated
