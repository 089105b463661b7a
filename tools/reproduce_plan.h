// From a paper's table and what the user has to runs of the net: which rows can be run, in how many runs, and
// what is missing for the others.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "report/paper_table.h"
#include "tools/commands.h"

namespace gs {

std::vector<PaperTable> built_in_tables();  // sorted by name
// A name of the built-in tables, or a file. Throws Error(Usage) for what is neither, Error(Data) for bad
// files.
PaperTable find_table(const std::string& name_or_file);

// The checkpoint's preprocessing where it differs from the net's.
PreprocessFlags preprocess_flags(const TableCheckpoint& checkpoint);

// A set of the table that the user gave, opened and counted.
struct GivenSet {
    std::string spec;  // "svhn=svhn:test_32x32.mat"
    int64_t images = 0;
    std::string objection;  // the count is not the one expected; empty: nothing to object
};

// Weights of a checkpoint of the table, loaded and compared with what is known of them.
struct GivenWeights {
    std::string file, sha256;
    std::string objection;                 // the hash is not the one known
    std::map<size_t, std::string> cannot;  // row: why this net, this version or its statistics cannot
};

struct Given {
    std::map<std::string, GivenSet> sets;         // by the table's names
    std::map<std::string, GivenWeights> weights;  // by the checkpoints' names
    std::map<std::string, std::string> stats;     // files, by the names of the table's statistics
};

// Matches --data, --weights and --stats with the table and looks at everything given before anything slow.
// Throws Error(Usage) for names the table does not have, Error(Data) and Error(Weights) for what cannot be
// used: weights of another net than the table's too.
Given examine(const PaperTable& table, const ReproduceFlags& flags);

// One run of one net over its sets, for all rows that share it, its statistics file and its validity.
struct PlannedRun {
    const TableCheckpoint* checkpoint = nullptr;
    std::string name;   // of its folder
    std::string stats;  // file; empty: no method needs one
    bool fits_on_test = false;
    std::vector<size_t> rows;  // of the table
    std::vector<std::string> ood;
    std::vector<std::string> methods;  // once each
};

struct ReproducePlan {
    std::vector<PlannedRun> runs;
    std::vector<std::optional<std::string>> not_run;  // by row: why not; nothing: it is in a run
    std::vector<bool> asked;                          // by row: --method names its method
    std::vector<std::string> missing;                 // what rows asked for need and was not given
};
// Throws Error(Usage) where --method names no method of the table.
ReproducePlan plan_reproduction(const PaperTable& table, const Given& given, const ReproduceFlags& flags);

// What the table needs, what was given, and what became of each row: --dry-run.
std::string needs_text(const PaperTable& table, const Given& given, const ReproducePlan& plan);
std::string needs_json(const PaperTable& table, const Given& given, const ReproducePlan& plan);

}  // namespace gs
