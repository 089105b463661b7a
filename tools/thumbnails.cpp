#include "tools/thumbnails.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "core/printable.h"
#include "data/image_set.h"
#include "report/text.h"
#include "tools/encode_image.h"

namespace gs {
namespace {

constexpr int64_t kSide = 96;
constexpr int kQuality = 80;

Image shrunk(Image image) {
    const int64_t longer = std::max(image.width, image.height);
    if (longer <= kSide) return image;
    const auto side = [&](int64_t length) {
        return std::max<int64_t>(1, std::llround(double(length) * double(kSide) / double(longer)));
    };
    return resize_bilinear(image, side(image.width), side(image.height));
}

Thumbnail make_thumbnail(const ImageSet& images, size_t set, int64_t index, const DecodeLimits& limits) {
    const std::vector<std::byte> bytes = images.bytes(index);
    const Image small = shrunk(images.decode(index, bytes, limits));
    return {set, index, small.width, small.height, encode_jpeg(small, kQuality)};
}

// Index to path: each image once, whatever the number of methods.
std::map<int64_t, std::string> wanted_images(const RunReport& report, size_t set) {
    std::map<int64_t, std::string> wanted;
    for (const MethodReport& method : report.methods)
        for (const HardImage& image : method.hardest[set]) wanted[image.index] = image.path;
    return wanted;
}

// Reasons with the number of images they stand for, the first of them named.
class Missing {
  public:
    void add(const std::string& path, const std::string& why) {
        if (count_++ == 0) first_ = path + ": " + why;
    }
    std::string line(const std::string& set, size_t of) const {
        return set + ": no picture of " + grouped(count_) + " of " + grouped(static_cast<int64_t>(of)) +
               " images; " + first_;
    }
    bool any() const { return count_ > 0; }

  private:
    int64_t count_ = 0;
    std::string first_;
};

void add_of_set(RunReport& report, size_t set, const DecodeLimits& limits) {
    const SetInfo& info = report.results.sets[set];
    const auto wanted = wanted_images(report, set);
    if (wanted.empty()) return;
    std::unique_ptr<ImageSet> images;
    try {
        images = open_image_set("set=" + info.description, report.results.run.seed);
    } catch (const Error& error) {
        report.no_thumbnails.push_back(info.name +
                                       ": no pictures, the set cannot be opened any more: " + error.what());
        return;
    }
    if (images->is_raw()) {
        report.no_thumbnails.push_back(info.name + ": no pictures of normalised arrays");
        return;
    }
    Missing missing;
    for (const auto& [index, path] : wanted) {
        if (index >= images->size() || images->item(index).path != path) {
            missing.add(path, "not at its place in the set any more");
            continue;
        }
        try {
            report.thumbnails.push_back(make_thumbnail(*images, set, index, limits));
        } catch (const Error& error) {
            missing.add(path, error.what());
        }
    }
    if (missing.any()) report.no_thumbnails.push_back(missing.line(info.name, wanted.size()));
}

}  // namespace

void add_thumbnails(RunReport& report, int64_t max_pixels) {
    for (size_t set = 0; set < report.results.sets.size(); ++set)
        add_of_set(report, set, {.max_pixels = max_pixels});
}

}  // namespace gs
