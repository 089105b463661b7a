#include "weights/zip_archive.h"

#include <zip.h>

#include <algorithm>

#include "core/printable.h"

namespace gs::weights {
namespace {

std::string reason_of(zip_error_t& error) {
    std::string text = zip_error_strerror(&error);
    zip_error_fini(&error);
    return text;
}

struct CloseFile {
    void operator()(zip_file_t* file) const { zip_fclose(file); }
};

}  // namespace

void ZipArchive::Close::operator()(zip* archive) const {
    zip_discard(archive);
}

ZipArchive::ZipArchive(const Input& input) : input_(input) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_buffer_create(input.bytes.data(), input.bytes.size(), 0, &error);
    if (source == nullptr) input.fail("zip archive: " + reason_of(error));
    archive_.reset(zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error));
    if (archive_ == nullptr) {
        zip_source_free(source);
        input.fail("damaged zip archive: " + printable(reason_of(error)) + "; fetch the file again");
    }
    zip_error_fini(&error);
    list_entries();
    check_sizes();
}

void ZipArchive::list_entries() {
    const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
    entries_.reserve(static_cast<size_t>(count));
    for (zip_int64_t i = 0; i < count; ++i) {
        zip_stat_t stat;
        zip_stat_init(&stat);
        constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                                         ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
        const bool known = zip_stat_index(archive_.get(), static_cast<zip_uint64_t>(i), 0, &stat) == 0;
        if (!known || (stat.valid & kNeeded) != kNeeded)
            input_.fail("damaged zip archive: entry " + std::to_string(i) + " is incomplete");
        const std::string shown = "zip entry '" + printable(stat.name) + "' ";
        if (stat.encryption_method != ZIP_EM_NONE) input_.fail("refused: " + shown + "is encrypted");
        if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE)
            input_.fail("refused: " + shown + "is compressed by method " + std::to_string(stat.comp_method) +
                        "; only deflate is supported");
        if (stat.comp_method == ZIP_CM_STORE && stat.size != stat.comp_size)
            input_.fail("damaged zip archive: " + shown + "is stored in two different sizes");
        entries_.push_back({stat.name, static_cast<uint64_t>(i), stat.size, stat.comp_size});
    }
    for (size_t i = 0; i < entries_.size(); ++i)
        if (!by_name_.emplace(entries_[i].name, i).second)
            input_.fail("refused: two zip entries are named '" + printable(entries_[i].name) + "'");
}

void ZipArchive::check_sizes() const {
    uint64_t packed = 0, unpacked = 0;
    for (const Entry& entry : entries_) {
        const std::string shown = "zip entry '" + printable(entry.name) + "' ";
        if (entry.packed > input_.bytes.size() - packed)
            input_.fail("refused: " + shown + "overlaps other entries");
        packed += entry.packed;
        const double ratio =
            static_cast<double>(entry.size) / static_cast<double>(std::max<uint64_t>(entry.packed, 1));
        if (entry.size > input_.limits.harmless_bytes && ratio > input_.limits.max_ratio)
            input_.fail("refused: " + shown + "would unpack to " + std::to_string(entry.size) + " bytes, " +
                        std::to_string(static_cast<uint64_t>(std::min(ratio, 1e18))) +
                        " times its packed size (a zip bomb?)");
        if (entry.size > input_.limits.max_unpacked_bytes - unpacked)
            input_.fail("refused: the zip archive would unpack to more than the limit of " +
                        std::to_string(input_.limits.max_unpacked_bytes) + " bytes");
        unpacked += entry.size;
    }
}

const ZipArchive::Entry* ZipArchive::find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : &entries_[found->second];
}

std::span<const std::byte> ZipArchive::read(const Entry& entry) const {
    const auto fail = [&](const std::string& why) {
        input_.fail("damaged zip archive: entry '" + printable(entry.name) + "': " + why +
                    "; fetch the file again");
    };
    const std::unique_ptr<zip_file_t, CloseFile> file(zip_fopen_index(archive_.get(), entry.index, 0));
    if (file == nullptr) fail(printable(zip_strerror(archive_.get())));
    const std::span<std::byte> bytes = input_.owner.allocate(entry.size);
    const auto read_some = [&](void* to, uint64_t most) {
        const zip_int64_t got = zip_fread(file.get(), to, most);
        if (got < 0) fail(printable(zip_file_strerror(file.get())));
        return static_cast<uint64_t>(got);
    };
    uint64_t done = 0;
    while (done < entry.size) {
        const uint64_t got = read_some(bytes.data() + done, entry.size - done);
        if (got == 0) fail("shorter than the archive says");
        done += got;
    }
    std::byte extra;  // libzip compares the checksum when it meets the end
    if (read_some(&extra, 1) != 0) fail("longer than the archive says");
    return bytes;
}

}  // namespace gs::weights
