// Shards: work on a set divided among processes, each with a contiguous part of its images.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gs {

struct Shard {
    int64_t index = 0, count = 1;  // 0 <= index < count
    bool operator==(const Shard&) const = default;
};

// "I/N", I from 0. Throws Error(Usage) for anything else and for I >= N.
Shard parse_shard(std::string_view text);
std::string to_string(const Shard& shard);

struct IndexRange {
    int64_t first = 0, last = 0;  // last: one past
    int64_t size() const { return last - first; }
    bool operator==(const IndexRange&) const = default;
};

// [I n / N, (I + 1) n / N) of n images, rounded down: the shards' ranges follow each other without gaps, and
// their sizes differ by one at most. Empty for some where N > n.
IndexRange shard_range(int64_t n, const Shard& shard);

}  // namespace gs
