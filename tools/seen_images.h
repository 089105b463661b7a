// Images that the statistics in use were fitted on, or options searched on: they would be judged too well.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "data/image_set.h"
#include "scores/statistics.h"

namespace gs {

// `digests` of the images at `indices` of the set. Throws Error(Data) naming the first such image and the
// file.
void require_unseen(const StatisticsStore& statistics, const ImageSet& set, std::span<const int64_t> indices,
                    std::span<const std::string> digests);

// "s.safetensors was fitted on 1 of the 13 images of t (--allow-fit-on-test)": how results say it where it is
// allowed.
struct FittedOnTest {
    std::string file, set;
    int64_t seen = 0, scored = 0;

    std::string text() const;
    static std::optional<FittedOnTest> from_text(
        std::string_view text);  // nothing where it says another thing
};

}  // namespace gs
