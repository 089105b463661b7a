#include "tools/set_facts.h"

#include <algorithm>

namespace gs {

void SetFacts::add(SetInfo& info, const std::vector<std::string>& digests) {
    if (info.role == SetRole::Id) {
        id_.insert(digests.begin(), digests.end());
        return;
    }
    info.shared_with_id =
        std::count_if(digests.begin(), digests.end(), [&](const std::string& d) { return id_.contains(d); });
}

void SetFacts::add_sizes(SetInfo& info, const ImageSet& images) const {
    constexpr int64_t kLooked = 16;
    if (images.is_raw()) return;
    std::vector<ImageSizes::Size> sizes;
    const int64_t count = std::min(info.total, images.size()), looked = std::min(kLooked, count);
    for (int64_t k = 0; k < looked; ++k) {
        const int64_t index = looked == 1 ? 0 : k * (count - 1) / (looked - 1);
        try {
            const Image image = images.decode(index, images.bytes(index), limits_);
            sizes.push_back({image.width, image.height});
        } catch (const Error&) {  // scoring lists it as excluded
        }
    }
    if (sizes.empty()) return;
    std::stable_sort(sizes.begin(), sizes.end(),
                     [](const auto& a, const auto& b) { return a.width * a.height < b.width * b.height; });
    info.image_sizes =
        ImageSizes{static_cast<int64_t>(sizes.size()), sizes.front(), sizes[sizes.size() / 2], sizes.back()};
}

}  // namespace gs
