// A training run as it lies on disk between two steps: one safetensors file, written atomically. Tensors
// "weights/NAME" and "optimizer/NAME"; where the run stands and what it was started with are metadata
// (docs/file-formats.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/run_identity.h"
#include "train/array.h"
#include "weights/weight_file.h"

namespace gs::train {

// Sums over images, from which means are made; exact, so that a resumed run logs what an uninterrupted one
// logs.
struct Tally {
    double loss = 0;  // of each image
    int64_t images = 0, correct = 0;
    void add(double mean_loss, int64_t count, int64_t right);
    double mean_loss() const;  // NaN where there are no images
    double accuracy() const;
    bool operator==(const Tally&) const = default;
};

struct RunState {
    int64_t step = 0;                     // steps done
    Tally epoch, interval;                // since the epoch began; since the log's last line
    int64_t log_bytes = 0;                // of the log that belong to these steps
    double seconds = 0;                   // of training, over all processes
    std::optional<double> best_accuracy;  // on the validation set
    int64_t best_epoch = 0;               // counted from 1; 0: none
    std::set<std::string> unusable;       // images that could not be used, UTF-8 without ends of lines
    bool operator==(const RunState&) const = default;
};

struct Checkpoint {
    RunIdentity identity;
    RunIdentity circumstances;  // what may change the last bits, such as the number of threads
    RunState state;
    std::vector<Array> weights, optimiser;
};

// Throws Error(Internal) where a value of the weights or of the optimiser is not finite, or writing fails; an
// older checkpoint at `path` then stays.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);
// Throws Error(Weights) for what is no checkpoint.
Checkpoint read_checkpoint(const std::filesystem::path& path);
Checkpoint checkpoint_of(const WeightFile& file);

// The weights alone, for `gradscore score --weights`.
void write_weights(const std::filesystem::path& path, const std::vector<Array>& weights,
                   const std::map<std::string, std::string>& metadata);
// The same as a PyTorch state dict.
void write_torch_weights(const std::filesystem::path& path, const std::vector<Array>& weights);

}  // namespace gs::train
