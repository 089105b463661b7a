// PyTorch's format before 1.6 (`.th`, `.pth.tar`): five pickles in a row (magic, protocol, system, object,
// storage keys), then each storage as an int64 count and its elements.
#include <algorithm>
#include <cstring>
#include <map>

#include "core/printable.h"
#include "weights/torch_state.h"

namespace gs::weights {
namespace {

// 0x1950a86a20f9469cfc6c, little-endian
constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kProtocol = 1001;

bool is_magic(const pickle::Value& value) {
    const auto* number = value.as<pickle::BigInt>();
    return number != nullptr && number->bytes.size() == kMagic.size() &&
           std::memcmp(number->bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

class LegacyFile {
  public:
    explicit LegacyFile(const Input& input) : input_(input) {}

    void read(WeightFile& file) {
        if (!is_magic(*next_pickle().value)) refuse_other_pickle();
        const pickle::Parsed protocol = next_pickle(), system = next_pickle();
        const int64_t* version = protocol.value->as<int64_t>();
        if (version == nullptr || *version != kProtocol)
            input_.fail("an unknown version of PyTorch's legacy format");
        const pickle::Value* little = pickle::find(*system.value, "little_endian");
        if (little != nullptr && (little->as<bool>() == nullptr || !*little->as<bool>()))
            input_.fail("big-endian storages are not supported; save on a little-endian machine");
        const pickle::Parsed object = next_pickle(), keys = next_pickle();
        find_storages(object, keys);
        read_state(
            input_, object, [&](const StorageUse& use) { return storage(use); }, file);
    }

  private:
    pickle::Parsed next_pickle() {
        pickle::Parsed parsed = parse_torch_pickle(input_, input_.bytes.subspan(at_), input_.what);
        at_ += parsed.consumed;
        return parsed;
    }

    // Not PyTorch's. A harmless first pickle may hide others: whatever they name is worth more than
    // "unknown".
    [[noreturn]] void refuse_other_pickle() {
        constexpr int kMostPickles = 16;
        const std::string why =
            "a Python pickle, but none of PyTorch's (no magic number); save model.state_dict() "
            "with torch.save, or safetensors";
        for (int i = 0; i < kMostPickles && at_ < input_.bytes.size() && input_.bytes[at_] == std::byte{0x80};
             ++i)
            next_pickle();
        input_.fail(why);
    }

    // Storages follow each other without a table, so every one has to be known to find the next.
    void find_storages(const pickle::Parsed& object, const pickle::Parsed& keys) {
        std::map<std::string_view, StorageUse> uses;
        for (const pickle::Value& value : object.values) {
            const auto* id = value.as<pickle::PersistentId>();
            if (id == nullptr) continue;
            const StorageUse use = storage_use(input_, *id);
            const auto [known, added] = uses.emplace(use.key, use);
            if (!added && (known->second.width != use.width || known->second.elements != use.elements))
                input_.fail("storage '" + printable(use.key) + "' is used in two different sizes");
        }
        const auto* list = keys.value->as<pickle::List>();
        if (list == nullptr) input_.fail("malformed list of storages");
        for (const pickle::Value* value : list->items) {
            const auto key = pickle::text(*value);
            const auto use = key ? uses.find(*key) : uses.end();
            if (use == uses.end()) input_.fail("a storage that nothing refers to");
            take_storage(use->second);
        }
    }
    void take_storage(const StorageUse& use) {
        const std::string name = "storage '" + printable(use.key) + "'";
        int64_t count = 0;
        if (input_.bytes.size() - at_ < sizeof count)
            input_.fail(name + " is missing; the file is truncated");
        std::memcpy(&count, &input_.bytes[at_], sizeof count);
        at_ += sizeof count;
        if (count != use.elements)
            input_.fail(name + " holds " + std::to_string(count) + " elements, " +
                        std::to_string(use.elements) + " are expected");
        const size_t bytes = static_cast<size_t>(use.elements) * use.width;
        if (bytes > input_.bytes.size() - at_) input_.fail(name + " is cut short; the file is truncated");
        if (!found_.emplace(std::string(use.key), input_.bytes.subspan(at_, bytes)).second)
            input_.fail(name + " appears twice");
        at_ += bytes;
    }
    std::span<const std::byte> storage(const StorageUse& use) const {
        const auto found = found_.find(std::string(use.key));
        if (found == found_.end()) input_.fail("storage '" + printable(use.key) + "' is missing");
        return found->second;
    }

    const Input& input_;
    size_t at_ = 0;
    std::map<std::string, std::span<const std::byte>> found_;
};

}  // namespace

void read_pickle(const Input& input, WeightFile& file) {
    file.format = "pytorch-legacy";
    LegacyFile(input).read(file);
}

}  // namespace gs::weights
