#include "cpu/memory.h"

#include <cstdlib>
#include <string>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace gs::cpu {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kHugeFrom = 4 * kHugePage;

void* aligned_or_null(size_t bytes) {
    const size_t alignment = bytes >= kHugeFrom ? kHugePage : kAlignment;
    if (bytes > SIZE_MAX - alignment) return nullptr;
    void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
#if defined(__linux__)
    if (data && bytes >= kHugeFrom) madvise(data, bytes, MADV_HUGEPAGE);  // advice only: may be refused
#endif
    return data;
}

}  // namespace

Buffer allocate_aligned(size_t bytes) {
    void* data = aligned_or_null(bytes > 0 ? bytes : 1);
    if (!data) {
        throw Error(ErrorKind::Device, "cpu: out of memory: " + std::to_string(bytes) + " bytes (" +
                                           std::to_string(bytes >> 20) +
                                           " MiB) were asked for; use a smaller --batch or a smaller image");
    }
    return {data, bytes, [](void* p) { std::free(p); }};
}

void* Scratch::bytes(size_t count) {
    if (count > buffer_.bytes()) {
        buffer_ = {};  // free before growing: the old contents are not wanted
        buffer_ = allocate_aligned(count);
    }
    return buffer_.data();
}

}  // namespace gs::cpu
