// Kind tiny-images: the 80 million tiny images' binary, 3072 bytes an image, columns first (MATLAB's order).
#include <algorithm>

#include "core/numbers.h"
#include "data/sets.h"

namespace gs::detail {
namespace {

constexpr size_t kMostList = size_t{256} << 20;

// Nothing is kept per image: the set has 79,302,017.
class TinyImages : public ImageSet {
  public:
    TinyImages(const std::string& path, std::vector<int64_t> skipped)
        : file_(path, ErrorKind::Data), skipped_(std::move(skipped)) {
        const size_t bytes = file_.bytes().size();
        if (bytes % ArraySet::kBytes != 0)
            throw Error(ErrorKind::Data, path + ": " + std::to_string(bytes) +
                                             " bytes are no whole number of tiny images of 3072 bytes");
        count_ = static_cast<int64_t>(bytes) / ArraySet::kBytes;
        const auto beyond = std::lower_bound(skipped_.begin(), skipped_.end(), count_);
        skipped_.erase(beyond, skipped_.end());
        if (!skipped_.empty()) notices_.push_back(std::to_string(skipped_.size()) + " listed images skipped");
        // before_[k] images that stay stand before the k-th skipped one.
        for (size_t k = 0; k < skipped_.size(); ++k) before_.push_back(skipped_[k] - static_cast<int64_t>(k));
    }

    int64_t size() const override { return count_ - static_cast<int64_t>(skipped_.size()); }
    ImageItem item(int64_t index) const override { return {index_name(stored(index)), {}}; }
    std::vector<std::byte> bytes(int64_t index) const override {
        const auto image =
            file_.bytes().subspan(static_cast<size_t>(stored(index)) * ArraySet::kBytes, ArraySet::kBytes);
        return {image.begin(), image.end()};
    }
    Image decode(int64_t, std::span<const std::byte> bytes, const DecodeLimits&) const override {
        return decode_array(bytes, ArraySet::Order::ColumnMajor);
    }

  private:
    MappedFile file_;
    int64_t count_ = 0;
    std::vector<int64_t> skipped_, before_;  // ascending

    // The place in the file of the index-th image that is not skipped.
    int64_t stored(int64_t index) const {
        GS_REQUIRE(index >= 0 && index < size());
        return index + (std::upper_bound(before_.begin(), before_.end(), index) - before_.begin());
    }
};

}  // namespace

std::vector<int64_t> parse_skip_list(std::string_view text, const std::string& name) {
    std::vector<int64_t> indices;
    text = without_bom(text);
    for (int64_t number = 1; !text.empty(); ++number) {
        const size_t length = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, length);
        text.remove_prefix(std::min(length + 1, text.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty()) continue;
        const auto value = parse_number<int64_t>(line);
        if (!value || *value < 1)
            throw Error(ErrorKind::Data,
                        name + ":" + std::to_string(number) + ": not the number of an image, counted from 1");
        indices.push_back(*value - 1);
    }
    std::sort(indices.begin(), indices.end());
    indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
    return indices;
}

std::unique_ptr<ImageSet> open_tiny_images(const SetSource& source) {
    std::vector<int64_t> skipped;
    if (const std::string* list = source.option("skip")) {
        const std::vector<std::byte> content = read_file(*list, ErrorKind::Data, kMostList);
        skipped = parse_skip_list({reinterpret_cast<const char*>(content.data()), content.size()}, *list);
    }
    return std::make_unique<TinyImages>(source.path, std::move(skipped));
}

}  // namespace gs::detail
