#include "core/shard.h"

#include <charconv>

#include "core/error.h"
#include "core/printable.h"

namespace gs {

Shard parse_shard(std::string_view text) {
    Shard shard{-1, -1};
    const char* const end = text.data() + text.size();
    const auto index = std::from_chars(text.data(), end, shard.index);
    if (index.ec == std::errc() && index.ptr != end && *index.ptr == '/') {
        const auto count = std::from_chars(index.ptr + 1, end, shard.count);
        if (count.ec == std::errc() && count.ptr == end && 0 <= shard.index && shard.index < shard.count)
            return shard;
    }
    throw Error(ErrorKind::Usage,
                "--shard: '" + printable(text) + "' is not I/N with I from 0 and below N, such as 0/4");
}

std::string to_string(const Shard& shard) {
    return std::to_string(shard.index) + "/" + std::to_string(shard.count);
}

IndexRange shard_range(int64_t n, const Shard& shard) {
    GS_REQUIRE(n >= 0 && 0 <= shard.index && shard.index < shard.count);
    __extension__ using Wide = __int128;  // index * n passes 64 bits
    const auto bound = [&](int64_t index) { return static_cast<int64_t>(Wide(n) * index / shard.count); };
    return {bound(shard.index), bound(shard.index + 1)};
}

}  // namespace gs
