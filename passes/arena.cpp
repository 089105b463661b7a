#include <algorithm>
#include <numeric>

#include "passes/plan.h"

namespace gs {
namespace {

constexpr size_t kAlignment = 64;

size_t aligned(size_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool overlap_in_time(const PlannedBuffer& a, const PlannedBuffer& b) {
    return a.first <= b.last && b.first <= a.last;
}

}  // namespace

size_t place_buffers(std::vector<PlannedBuffer>& buffers, int64_t batch) {
    std::vector<size_t> order(buffers.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return buffers[a].bytes(batch) > buffers[b].bytes(batch); });

    size_t total = 0;
    std::vector<size_t> placed;  // by offset
    for (const size_t i : order) {
        PlannedBuffer& buffer = buffers[i];
        if (buffer.first < 0) continue;  // never used
        size_t offset = 0;
        for (const size_t j : placed) {
            const PlannedBuffer& other = buffers[j];
            if (!overlap_in_time(buffer, other)) continue;
            if (offset + buffer.bytes(batch) <= other.offset) break;
            offset = std::max(offset, aligned(other.offset + other.bytes(batch)));
        }
        buffer.offset = offset;
        total = std::max(total, aligned(offset + buffer.bytes(batch)));
        const auto after =
            std::upper_bound(placed.begin(), placed.end(), offset,
                             [&](size_t value, size_t j) { return value < buffers[j].offset; });
        placed.insert(after, i);
    }
    return total;
}

}  // namespace gs
