#include "tools/seen_images.h"

#include "core/error.h"

namespace gs {

void require_unseen(const StatisticsStore& statistics, const ImageSet& set, std::span<const int64_t> indices,
                    std::span<const std::string> digests) {
    if (!statistics.any_used()) return;
    for (size_t i = 0; i < indices.size(); ++i)
        if (const auto* file = statistics.seen_in(image_digest(digests[i])))
            throw Error(ErrorKind::Data,
                        set.name() + ": " + set.item(indices[i]).path + ": " + file->string() +
                            " was fitted (or searched) on this very image; take other images, "
                            "or allow it with --allow-fit-on-test");
}

}  // namespace gs
