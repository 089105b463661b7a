// A zip archive in memory, read through libzip, with the checks that keep hostile ones from costing anything:
// sizes are bounded before a byte is allocated.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weights/formats.h"

struct zip;

namespace gs::weights {

class ZipArchive {
  public:
    struct Entry {
        std::string name;
        uint64_t index = 0, size = 0, packed = 0;  // sizes in bytes, as the archive's directory states them
    };

    // Throws for damaged or inconsistent archives, two entries of one name, encryption, compression other
    // than deflate, entries that overlap, and sizes beyond the limits.
    explicit ZipArchive(const Input& input);

    const std::vector<Entry>& entries() const { return entries_; }
    const Entry* find(std::string_view name) const;

    // The unpacked bytes, kept by the input's owner. Throws where they do not match their size or checksum.
    std::span<const std::byte> read(const Entry& entry) const;

  private:
    struct Close {
        void operator()(zip* archive) const;
    };
    void list_entries();
    void check_sizes() const;

    const Input& input_;
    std::unique_ptr<zip, Close> archive_;
    std::vector<Entry> entries_;
    std::map<std::string_view, size_t> by_name_;
};

// What a zip archive holds. Each throws where the contents are not what the format demands.
void read_npz(const Input& input, const ZipArchive& archive, WeightFile& file);
void read_torch_zip(const Input& input, const ZipArchive& archive, const ZipArchive::Entry& pickle,
                    WeightFile& file);

}  // namespace gs::weights
