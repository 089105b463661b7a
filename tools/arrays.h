// Arrays of a run kept for later ones: arrays/<set>.safetensors holds logits, features, tap means and norms,
// with the hashes of what they were computed from. Found again by those hashes, never by a set's name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/shard.h"
#include "data/image_set.h"
#include "nets/net.h"
#include "passes/evidence.h"
#include "scores/computation.h"
#include "weights/weight_file.h"

namespace gs {

struct SaveOptions {
    bool logits = false, features = false, taps = false, norms = false;
    bool any() const { return logits || features || taps || norms; }
};
// Throws Error(Usage) for anything but logits, features, taps, norms.
SaveOptions parse_save(const std::vector<std::string>& items);
// What must be collected for them: taps are the spatial means of every stage's output; norms are those of
// weight gradients that the methods ask for (tools/norm_arrays.h).
Request save_request(const SaveOptions& save, const Net& net);

// What arrays depend on: how they are computed, and the images' bytes, in order.
struct ArrayKey {
    Computation by;
    std::string set_digest;
    auto operator<=>(const ArrayKey&) const = default;
};

void write_arrays(const std::filesystem::path& path, const ArrayKey& key, const Evidence& evidence,
                  const SaveOptions& save, const Net& net);

// The file of write_arrays() from arrays that lie in memory; and the key of such a file, nothing where it is
// none.
void write_arrays_file(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const ArrayKey& key, std::map<std::string, std::string> metadata = {});
std::optional<ArrayKey> array_key(const WeightFile& file);

// Arrays of earlier runs, by key.
class ArrayStore {
  public:
    // Run folders (those with arrays/ in them). Throws Error(Usage) for folders without any.
    explicit ArrayStore(const std::vector<std::string>& runs);
    bool empty() const { return files_.empty(); }
    // Whether find() may answer for some images: hashing them all takes a while.
    bool may_answer(const Computation& by, const Request& request) const;
    // The evidence for this key where it answers the request.
    std::optional<Evidence> find(const ArrayKey& key, const Request& request) const;

  private:
    std::vector<std::pair<ArrayKey, std::filesystem::path>> files_;
};

// The SHA-256 of each image's bytes, in order; nothing where one cannot be read: no arrays are stored of such
// a set.
std::optional<std::vector<std::string>> image_digests(const ImageSet& set, const IndexRange& range);
// A set's digest: SHA-256 over the SHA-256 of every image's bytes (hex), in order.
std::string combine_digests(const std::vector<std::string>& digests);

}  // namespace gs
