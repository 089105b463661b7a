// PyTorch's zip format (1.6 and later): PREFIX/data.pkl, PREFIX/byteorder, and a storage in each
// PREFIX/data/KEY.
#include <map>

#include "core/printable.h"
#include "weights/torch_state.h"
#include "weights/zip_archive.h"

namespace gs::weights {
namespace {

constexpr uint64_t kMaxPickle = 256 << 20;  // 100,000 tensors take about 30 MB

void check_byte_order(const Input& input, const ZipArchive& archive, const std::string& prefix) {
    const auto* entry = archive.find(prefix + "byteorder");
    if (entry == nullptr) return;  // before PyTorch 2.1: little, as everywhere
    constexpr uint64_t kMostBytes = 16;
    if (entry->size > kMostBytes) input.fail("malformed 'byteorder' in the PyTorch archive");
    const auto bytes = archive.read(*entry);
    const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (order != "little")
        input.fail("byte order '" + printable(order) + "' is not supported; save on a little-endian machine");
}

// Storages by key, each unpacked when the first tensor asks for it: an optimiser's state never is.
class Storages {
  public:
    Storages(const Input& input, const ZipArchive& archive, std::string prefix)
        : input_(input), archive_(archive), prefix_(std::move(prefix)) {}

    std::span<const std::byte> get(const StorageUse& use) {
        const std::string name = prefix_ + "data/" + std::string(use.key);
        auto known = read_.find(name);
        if (known == read_.end()) {
            const auto* entry = archive_.find(name);
            if (entry == nullptr)
                input_.fail("storage '" + printable(name) + "' is missing from the PyTorch archive");
            check_size(name, entry->size, use);
            known = read_.emplace(name, archive_.read(*entry)).first;
        }
        check_size(name, known->second.size(), use);
        return known->second;
    }

  private:
    void check_size(const std::string& name, uint64_t size, const StorageUse& use) const {
        const uint64_t needed = static_cast<uint64_t>(use.elements) * use.width;
        if (size < needed)
            input_.fail("storage '" + printable(name) + "' holds " + std::to_string(size) + " bytes, " +
                        std::to_string(needed) + " are needed");
    }

    const Input& input_;
    const ZipArchive& archive_;
    std::string prefix_;
    std::map<std::string, std::span<const std::byte>> read_;
};

}  // namespace

void read_torch_zip(const Input& input, const ZipArchive& archive, const ZipArchive::Entry& pickle,
                    WeightFile& file) {
    file.format = "pytorch-zip";
    const std::string prefix =
        pickle.name.substr(0, pickle.name.size() - std::string_view("data.pkl").size());
    if (archive.find(prefix + "constants.pkl") != nullptr)
        input.fail("a TorchScript archive (a whole program); save model.state_dict() with torch.save");
    check_byte_order(input, archive, prefix);
    if (pickle.size > kMaxPickle)
        input.fail("refused: a data.pkl of " + std::to_string(pickle.size) + " bytes");
    const pickle::Parsed parsed =
        parse_torch_pickle(input, archive.read(pickle), input.what + ": " + printable(pickle.name));
    Storages storages(input, archive, prefix);
    read_state(
        input, parsed, [&](const StorageUse& use) { return storages.get(use); }, file);
}

}  // namespace gs::weights
