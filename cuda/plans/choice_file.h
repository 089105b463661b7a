// Which algorithm was fastest, by device, library version and problem: measured once, kept in a file. Needs
// no CUDA.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cuda/plans/problem.h"

namespace gs::cuda {

struct StoredChoice {
    std::string device;   // "NVIDIA H200"
    std::string version;  // "cuDNN 9.19.0, cuBLAS 13.1.0"
    std::string problem;  // to_string(ConvProblem)
    std::string plan;
    double milliseconds = 0;
};

// The text of such a file: a first line that names it, then one choice a line, fields separated by tabs.
struct ParsedChoices {
    bool is_ours = true;  // false: it begins otherwise, and is somebody else's
    std::vector<StoredChoice> choices;
    int damaged_lines = 0;
};
ParsedChoices parse_choices(std::string_view text);
std::string format_choices(const std::vector<StoredChoice>& choices);

// Nothing here is fatal: a file that cannot be read or written is a notice, and choices are then made anew.
// One that is somebody else's is left as it is.
class ChoiceFile {
  public:
    using Notice = std::function<void(const std::string&)>;
    // path empty: choices live as long as the process.
    ChoiceFile(std::filesystem::path path, std::string device, std::string version, Notice notice);

    // The plan's name; empty: none.
    std::string find(const ConvProblem& problem) const;
    // Written at once, after reading what others wrote meanwhile.
    void store(const ConvProblem& problem, const std::string& plan, double milliseconds);

  private:
    ParsedChoices read();
    void write();

    std::filesystem::path path_;
    std::string device_, version_;
    Notice notice_;
    bool writable_ = true;
    std::map<std::string, StoredChoice> mine_;  // of this device and version, by problem
};

}  // namespace gs::cuda
