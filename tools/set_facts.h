// What tells a doubtful pair of sets: images that are in both, and images of very different sizes.
#pragma once

#include <string>
#include <unordered_set>
#include <vector>

#include "data/image_set.h"
#include "report/results.h"

namespace gs {

class SetFacts {
  public:
    explicit SetFacts(const DecodeLimits& limits = {}) : limits_(limits) {}

    // `digests`: SHA-256 of the bytes of every image that was scored, hex. The ID set comes first; of the
    // sets after it, info.shared_with_id counts the images that it holds as well.
    void add(SetInfo& info, const std::vector<std::string>& digests);

    // info.image_sizes of 16 images, evenly spread; those that cannot be read are left out, and arrays that
    // are used as they are have none.
    void add_sizes(SetInfo& info, const ImageSet& images) const;

  private:
    DecodeLimits limits_;
    std::unordered_set<std::string> id_;
};

}  // namespace gs
