// Aligned memory of the CPU backend.
#pragma once

#include <cstddef>
#include <memory>

#include "core/tensor.h"

namespace gs::cpu {

// 64-byte aligned (2 MB, and huge pages asked for, where it is large), uninitialised. Throws Error(Device)
// with the size that was asked for.
Buffer allocate_aligned(size_t bytes);

// Memory that operations reuse from call to call: it grows to the largest request and then stays.
class Scratch {
  public:
    // At least `count` elements, contents undefined. Invalidates what an earlier call returned.
    template <class T>
    T* get(size_t count) {
        return static_cast<T*>(bytes(count * sizeof(T)));
    }

  private:
    void* bytes(size_t count);
    Buffer buffer_;
};

}  // namespace gs::cpu
