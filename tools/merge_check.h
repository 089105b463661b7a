// Whether run folders are the shards of one run.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "report/results.h"

namespace gs {

// A shard's folder, its scores not read yet.
struct RunShard {
    std::filesystem::path folder;
    Results results;
    std::string config;  // config.toml
};

// The shards in their order. Throws Error(Data) for folders that hold no run, Error(Usage) naming the folder
// where one holds no shard, or one of another run (the first thing that differs is told), or is not complete,
// or where a shard is missing or there twice.
std::vector<RunShard> read_shards(const std::vector<std::string>& folders);

// Whether the run kept arrays (--save).
bool saves_arrays(const RunShard& shard);
// The shard's config.toml as the whole run's, with another --out.
std::string config_of_whole(const std::string& config, const std::string& out);

}  // namespace gs
