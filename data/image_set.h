// A set of images on disk: `KIND:PATH` of the command line (folder, list, cifar10, cifar100, svhn,
// tiny-images, npy, synthetic).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/image.h"

namespace gs {

struct ImageItem {
    std::string path;  // relative path, or "index 17" for arrays: what the CSV shows
    std::optional<int64_t> label;
};

// A float image that is used as it is (kind npy, float32): [height][width][3], channel-last.
struct RawInput {
    int64_t width = 0, height = 0;
    std::vector<float> values;
};

class ImageSet {
  public:
    virtual ~ImageSet() = default;
    const std::string& name() const { return name_; }                // NAME of NAME=KIND:PATH
    const std::string& description() const { return description_; }  // "folder:/data/dtd"
    // The files and folders it is read from, as given: a list's and those of its root, too.
    const std::vector<std::filesystem::path>& places() const { return places_; }
    virtual int64_t size() const = 0;
    virtual ImageItem item(int64_t index) const = 0;
    // The item's bytes as stored (file content, or the array's row): what its hash is taken of. Thread-safe.
    virtual std::vector<std::byte> bytes(int64_t index) const = 0;
    // Decodes bytes(index). Thread-safe. Throws Error(Data) naming the item.
    virtual Image decode(int64_t index, std::span<const std::byte> bytes,
                         const DecodeLimits& limits) const = 0;
    // Kind npy with float32: normalised arrays, used as they are. Others: false.
    virtual bool is_raw() const { return false; }
    virtual RawInput raw(int64_t index, std::span<const std::byte> bytes) const;
    // For the user: "12 files of other kinds ignored".
    const std::vector<std::string>& notices() const { return notices_; }
    // Kind folder: the folder of each label, from 0 on. Others: none.
    const std::vector<std::string>& class_names() const { return class_names_; }

  protected:
    std::string name_, description_;
    std::vector<std::filesystem::path> places_;
    std::vector<std::string> notices_, class_names_;
    friend std::unique_ptr<ImageSet> open_image_set(std::string_view spec, uint64_t seed);
};

// spec: "[NAME=]KIND:PATH[:option=value]"; NAME defaults to the last part of the path (a file's without its
// extension).
//   folder:DIR            .jpg .jpeg .png below DIR, links followed; label: index among the top folders that
//                         hold images
//   list:FILE[:root=DIR][:groups=A+B…]  lines "path label", or "path" throughout; paths are relative to the
//                         list's folder or to root; blank lines and those that begin with # are skipped, a
//                         negative label means none. groups, MOS' lists: lines "path group class", the groups
//                         of A, B … classes; the label counts classes through the groups
//   cifar10:PATH, cifar100:PATH[:split=train]  a .bin or pickled file, or the folder of the archive (its test
//                         part)
//   svhn:FILE.mat         cropped digits, MATLAB version 5; label 10 becomes 0
//   tiny-images:FILE[:skip=LIST]  the 80 million tiny images' binary; LIST: numbers of images to leave out
//                         from 1 on, one a line
//   npy:FILE              float32 [N, 3, H, W] used as it is, or uint8 [N, H, W, 3]
//   synthetic:N[:size=224]  smooth noise made from `seed`
// Throws Error(Usage) for a bad spec, Error(Data) for sets that cannot be read or are empty.
std::unique_ptr<ImageSet> open_image_set(std::string_view spec, uint64_t seed = 0);

// The kinds there are: "folder", "list" …
std::vector<std::string> image_set_kinds();

// Image files by their paths, without labels; opened when they are read.
std::unique_ptr<ImageSet> open_image_files(const std::vector<std::string>& paths);

}  // namespace gs
