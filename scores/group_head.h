// The head of MOS (Huang & Li 2021; docs/methods/mos.md): classes in groups, each group's slice of the logits
// led by one for "others". Classes are numbered through the groups, "others" left out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace gs {

struct GroupHead {
    std::vector<int64_t> sizes;  // classes of each group, each at least 1

    int64_t classes() const;
    int64_t logits() const { return classes() + static_cast<int64_t>(sizes.size()); }
    // softmax(z_g)[1:] of each group, the best class of the best group; the first of equals.
    int64_t predict(std::span<const float> z) const;
    bool operator==(const GroupHead&) const = default;
};

// "398+521+9", or a file: integers .npy of one dimension, or text of numbers parted by blanks, line ends or
// commas. Throws Error(Usage) where it is neither, Error(Data) naming the file and what is wrong with it.
GroupHead read_group_head(const std::string& text);
// The same for a file's bytes; `name` is the path in messages.
GroupHead parse_group_file(std::span<const std::byte> bytes, const std::string& name);

}  // namespace gs
