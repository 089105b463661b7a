// Some images of a set, as a set: a shard of it, or those that a method selects.
#pragma once

#include <utility>
#include <vector>

#include "data/image_set.h"

namespace gs {

class ImageSubset : public ImageSet {
  public:
    // Image i of the subset is image indices[i] of the set, which must outlive it.
    ImageSubset(const ImageSet& set, std::vector<int64_t> indices) : set_(set), indices_(std::move(indices)) {
        name_ = set.name();
        description_ = set.description();
        notices_ = set.notices();
        places_ = set.places();
        class_names_ = set.class_names();
        for (const int64_t index : indices_) GS_REQUIRE(index >= 0 && index < set.size());
    }

    int64_t original(int64_t index) const { return indices_.at(static_cast<size_t>(index)); }

    int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
    ImageItem item(int64_t index) const override { return set_.item(original(index)); }
    std::vector<std::byte> bytes(int64_t index) const override { return set_.bytes(original(index)); }
    Image decode(int64_t index, std::span<const std::byte> bytes, const DecodeLimits& limits) const override {
        return set_.decode(original(index), bytes, limits);
    }
    bool is_raw() const override { return set_.is_raw(); }
    RawInput raw(int64_t index, std::span<const std::byte> bytes) const override {
        return set_.raw(original(index), bytes);
    }

  private:
    const ImageSet& set_;
    std::vector<int64_t> indices_;
};

}  // namespace gs
