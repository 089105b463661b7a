// Kinds cifar10 and cifar100: the binary and the Python version, one file of any length or the folder.
#include <algorithm>

#include "data/cifar_pickle.h"
#include "data/sets.h"

namespace gs::detail {
namespace {

namespace fs = std::filesystem;

struct Family {
    std::string name, binary_folder, python_folder;
    std::vector<std::string> test, train;  // names of the files, binary ones with ".bin"
    std::string label_key;                 // in the Python version
    size_t label_bytes;                    // before the pixels; the last is the (fine) label
    int64_t classes;
};

const Family& cifar10() {
    static const Family family{
        "CIFAR-10",
        "cifar-10-batches-bin",
        "cifar-10-batches-py",
        {"test_batch"},
        {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"},
        "labels",
        1,
        10};
    return family;
}

const Family& cifar100() {
    static const Family family{
        "CIFAR-100", "cifar-100-binary", "cifar-100-python", {"test"}, {"train"}, "fine_labels", 2, 100};
    return family;
}

void add_binary(ArraySet& set, const fs::path& path, const std::shared_ptr<MappedFile>& file,
                const Family& family) {
    const std::span<const std::byte> all = file->bytes();
    const size_t record = family.label_bytes + ArraySet::kBytes;
    if (all.size() % record != 0)
        throw Error(ErrorKind::Data, path.string() + ": " + std::to_string(all.size()) +
                                         " bytes are no whole number of " + family.name + " records of " +
                                         std::to_string(record) + " bytes");
    for (size_t at = 0; at < all.size(); at += record) {
        const auto label = static_cast<int64_t>(all[at + family.label_bytes - 1]);
        if (label >= family.classes)
            throw Error(ErrorKind::Data, path.string() + ": record " + std::to_string(at / record) +
                                             " has label " + std::to_string(label) + "; is this " +
                                             family.name + "?");
        set.add(all.subspan(at + family.label_bytes, ArraySet::kBytes), label);
    }
    set.keep(file);
}

void add_python(ArraySet& set, const fs::path& path, const std::shared_ptr<MappedFile>& file,
                const Family& family) {
    const auto batch = std::make_shared<CifarPickle>(
        parse_cifar_pickle(file->bytes(), path.string(), family.label_key, family.classes));
    for (size_t i = 0; i < batch->labels.size(); ++i)
        set.add(batch->data.subspan(i * ArraySet::kBytes, ArraySet::kBytes), batch->labels[i]);
    set.keep(file);
    set.keep(batch);
}

// A pickle begins with its protocol's mark or with a bracket; a record with a label, which is less than both.
bool is_pickle(std::span<const std::byte> file) {
    return !file.empty() && (file[0] == std::byte{0x80} || file[0] == std::byte{'('});
}

// Throws Error(Data) where that cannot be seen: in a folder that may not be entered, for one.
bool is_file(const fs::path& path) {
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (error && status.type() != fs::file_type::not_found)
        throw Error(ErrorKind::Data, path.string() + ": cannot open: " + error.message());
    return fs::is_regular_file(status);
}

// The files of the wanted part below a folder: binary before Python, directly or in the archive's own
// subfolder.
std::vector<fs::path> find_files(const fs::path& folder, const Family& family,
                                 const std::vector<std::string>& names) {
    for (const auto& [below, suffix] :
         std::vector<std::pair<fs::path, std::string>>{{folder, ".bin"},
                                                       {folder, ""},
                                                       {folder / family.binary_folder, ".bin"},
                                                       {folder / family.python_folder, ""}}) {
        std::vector<fs::path> files;
        for (const std::string& name : names)
            if (const fs::path file = below / (name + suffix); is_file(file)) files.push_back(file);
        if (files.size() == names.size()) return files;
    }
    throw Error(ErrorKind::Data, folder.string() + ": no " + family.name + " here (looked for " +
                                     names.front() + ".bin and for " + names.front() + ")");
}

std::unique_ptr<ImageSet> open_family(const SetSource& source, const Family& family) {
    const std::string* split = source.option("split");
    if (split != nullptr && *split != "test" && *split != "train")
        throw Error(ErrorKind::Usage, source.path + ": split=" + *split + " is neither test nor train");
    const bool train = split != nullptr && *split == "train";
    std::vector<fs::path> files{source.path};
    std::error_code unreadable;  // told by who opens it as a file
    if (fs::is_directory(source.path, unreadable))
        files = find_files(source.path, family, train ? family.train : family.test);
    auto set = std::make_unique<ArraySet>(ArraySet::Order::RowMajor);
    for (const fs::path& path : files) {
        const auto file = std::make_shared<MappedFile>(path, ErrorKind::Data);
        (is_pickle(file->bytes()) ? add_python : add_binary)(*set, path, file, family);
    }
    return set;
}

}  // namespace

std::unique_ptr<ImageSet> open_cifar10(const SetSource& source) {
    return open_family(source, cifar10());
}
std::unique_ptr<ImageSet> open_cifar100(const SetSource& source) {
    return open_family(source, cifar100());
}

}  // namespace gs::detail
