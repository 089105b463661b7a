// The kinds of image sets; open_image_set() chooses among them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/files.h"
#include "data/image_set.h"

namespace gs::detail {

// "PATH:key=value:key=value", taken apart.
struct SetSource {
    std::string path;
    std::vector<std::pair<std::string, std::string>> options;

    const std::string* option(std::string_view key) const;
};

std::unique_ptr<ImageSet> open_folder(const SetSource& source);
std::unique_ptr<ImageSet> open_list(const SetSource& source);
std::unique_ptr<ImageSet> open_cifar10(const SetSource& source);
std::unique_ptr<ImageSet> open_cifar100(const SetSource& source);
std::unique_ptr<ImageSet> open_svhn(const SetSource& source);
std::unique_ptr<ImageSet> open_tiny_images(const SetSource& source);
std::unique_ptr<ImageSet> open_npy(const SetSource& source);
std::unique_ptr<ImageSet> open_synthetic(const SetSource& source, uint64_t seed);

// Images that are files: folder and list.
class FileSet : public ImageSet {
  public:
    struct Entry {
        std::string path;  // as shown; below root_ unless absolute
        std::optional<int64_t> label;
    };

    FileSet(std::filesystem::path root, std::vector<Entry> entries, std::vector<std::string> notices,
            std::vector<std::string> class_names = {});
    int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
    ImageItem item(int64_t index) const override;
    std::vector<std::byte> bytes(int64_t index) const override;
    Image decode(int64_t index, std::span<const std::byte> bytes, const DecodeLimits& limits) const override;

  private:
    std::filesystem::path root_;
    std::vector<Entry> entries_;
};

// Images of 32x32 pixels that lie in memory (or in a mapped file) as 3072 bytes each, channel by channel.
class ArraySet : public ImageSet {
  public:
    enum class Order { RowMajor, ColumnMajor };  // of the pixels in a channel
    static constexpr int64_t kSide = 32, kBytes = kSide * kSide * 3;

    explicit ArraySet(Order order) : order_(order) {}
    int64_t size() const override { return static_cast<int64_t>(images_.size()); }
    ImageItem item(int64_t index) const override;
    std::vector<std::byte> bytes(int64_t index) const override;
    Image decode(int64_t index, std::span<const std::byte> bytes, const DecodeLimits& limits) const override;

    // `data` must live as long as the set: keep() takes what owns it.
    void add(std::span<const std::byte> data, std::optional<int64_t> label);
    void keep(std::shared_ptr<const void> owner) { owners_.push_back(std::move(owner)); }

  private:
    Order order_;
    std::vector<const std::byte*> images_;
    std::vector<int64_t> labels_;  // -1: none
    std::vector<std::shared_ptr<const void>> owners_;
};

Image decode_array(std::span<const std::byte> bytes, ArraySet::Order order);

// Indices from 0, ascending, out of a text of numbers from 1 on, one a line (energy_ood's
// 80mn_cifar_idxs.txt). Throws Error(Data) "NAME:LINE: …".
std::vector<int64_t> parse_skip_list(std::string_view text, const std::string& name);

// "index 17": how items of arrays are called.
std::string index_name(int64_t index);

}  // namespace gs::detail
