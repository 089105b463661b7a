// Several sets, one after the other, as a set.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/join.h"
#include "data/image_set.h"

namespace gs {

// Of images all raw or none. Labels and paths stay what they are.
class ImageConcat : public ImageSet {
  public:
    explicit ImageConcat(std::vector<std::unique_ptr<ImageSet>> sets) : sets_(std::move(sets)) {
        GS_REQUIRE(!sets_.empty());
        name_ = join(sets_, "+", [](const auto& set) { return set->name(); });
        description_ = join(sets_, ", ", [](const auto& set) { return set->description(); });
        for (const auto& set : sets_) {
            GS_REQUIRE(set->is_raw() == sets_.front()->is_raw());
            notices_.insert(notices_.end(), set->notices().begin(), set->notices().end());
            places_.insert(places_.end(), set->places().begin(), set->places().end());
            size_ += set->size();
        }
    }

    int64_t size() const override { return size_; }
    ImageItem item(int64_t index) const override {
        const auto [set, local] = find(index);
        return set.item(local);
    }
    std::vector<std::byte> bytes(int64_t index) const override {
        const auto [set, local] = find(index);
        return set.bytes(local);
    }
    Image decode(int64_t index, std::span<const std::byte> bytes, const DecodeLimits& limits) const override {
        const auto [set, local] = find(index);
        return set.decode(local, bytes, limits);
    }
    bool is_raw() const override { return sets_.front()->is_raw(); }
    RawInput raw(int64_t index, std::span<const std::byte> bytes) const override {
        const auto [set, local] = find(index);
        return set.raw(local, bytes);
    }

  private:
    std::vector<std::unique_ptr<ImageSet>> sets_;
    int64_t size_ = 0;

    std::pair<const ImageSet&, int64_t> find(int64_t index) const {
        GS_REQUIRE(index >= 0 && index < size_);
        size_t set = 0;
        for (; index >= sets_[set]->size(); ++set) index -= sets_[set]->size();
        return {*sets_[set], index};
    }
};

}  // namespace gs
