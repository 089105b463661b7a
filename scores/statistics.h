// A statistics file: what `gradscore fit` learned, for which weights and preprocessing, and the hashes of the
// images it saw, so that nobody scores the images that a method was fitted on. One safetensors file;
// docs/file-formats.md.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/run_identity.h"
#include "scores/computation.h"
#include "scores/fit.h"

namespace gs {

// The first half of the SHA-256 of an image's stored bytes.
using ImageDigest = std::array<std::byte, 16>;
ImageDigest image_digest(const std::string& sha256_hex);

struct Statistics {
    std::string net, weights_sha256, preprocess;  // as in results.json
    std::string precision = "f32";                // as in results.json
    std::string set;                              // "train=folder:/data/train"
    int64_t total = 0;                            // images of the whole set, before shards
    std::optional<int64_t> limit{};               // of the fit's images, or of a search's: a trial
    int64_t shard = 0, shards = 1;                // merged: 0 of 1
    std::vector<ImageDigest> seen;                // ascending
    std::vector<FitState> states;
    RunIdentity started_with{};  // the fit, or the search that tuned it; empty: of an earlier version
    int64_t excluded = 0;        // images of the fit that could not be used
    std::string search{};        // tuned: what the search says of itself, as JSON

    bool saw(const ImageDigest& digest) const;
};

// Throws Error(Data) naming the file and what is wrong with it.
Statistics read_statistics(const std::filesystem::path& path);
// The same for bytes in memory; `name` is the path in messages.
Statistics read_statistics_from_memory(std::span<const std::byte> bytes, const std::string& name);
// Statistics::limit alone, of however large a file.
std::optional<int64_t> limit_of_statistics(const std::filesystem::path& path);
void write_statistics(const std::filesystem::path& path, const Statistics& statistics);
// Shards of one fit, in any order. Throws Error(Usage) saying what differs, which shard is missing or there
// twice.
Statistics merge_statistics(std::vector<Statistics> shards);

// The statistics files of a run, each read once: that of --stats, and those that methods name by stats=FILE.
class StatisticsStore {
  public:
    // For scores of this computation: files of others are refused.
    StatisticsStore(std::filesystem::path fallback, Computation own);
    ~StatisticsStore();
    StatisticsStore(StatisticsStore&&) noexcept;

    // The state of the method, with the options `wanted`; `path` empty: that of --stats. Throws Error(Usage)
    // where there is no file or it holds no such state, or is of another computation;
    // Error(Data) for bad files.
    // Where several answer, `suits` says how well each does (0: not at all), and the best of them is it.
    const FitState& find(const MethodSpec& spec, const std::string& path,
                         const std::map<std::string, std::string>& wanted = {},
                         const std::function<int(const FitState&)>& suits = {});
    // The file that find() reads for a method that names `path`; empty where there is none.
    std::filesystem::path file(const std::string& path) const {
        return path.empty() ? fallback_ : std::filesystem::path(path);
    }
    // A state that was made in this process (bench, klm:templates=id-test); found before those of files.
    void add(FitState state);
    // Images that options were chosen on (tools/search_file.h): seen_in() names `path` for them.
    void also_seen(const std::filesystem::path& path, std::vector<ImageDigest> ascending);
    // The file of a state found so far that was fitted on this image, or null.
    const std::filesystem::path* seen_in(const ImageDigest& digest) const;
    // Whether a state of a file was found so far: then images are to be looked up.
    bool any_used() const;

  private:
    struct File;
    File& open(const std::filesystem::path& path);
    std::filesystem::path fallback_;
    Computation own_;
    std::map<std::filesystem::path, std::unique_ptr<File>> files_;
    std::vector<std::unique_ptr<FitState>> made_;
};

}  // namespace gs
