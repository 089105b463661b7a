// What the terminal's table and the Markdown page share: the figures as text, in groups of columns.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "report/results.h"

namespace gs {

struct Figure {
    std::string_view name;
    std::string_view key;  // names it to the report page's script, which exchanges conventions
    double DetectionMetrics::*value;
    bool lower_is_better;
};
inline constexpr std::array<Figure, 3> kFigures{{{"FPR95", "fpr", &DetectionMetrics::fpr95_closest, true},
                                                 {"AUROC", "auroc", &DetectionMetrics::auroc, false},
                                                 {"AUPR-in", "aupr", &DetectionMetrics::aupr_in, false}}};

// The best text of a column, of percentages and "n/a", to compare the others with: figures that are equal as
// printed are all best, since a difference nobody sees is none. Empty where there are fewer than two, or no
// figure.
std::string best_as_printed(std::span<const std::string> column, bool lower_is_better);

struct Cell {
    std::string text;   // percent
    bool best = false;  // of its column (best_as_printed)
};

// An OOD set, or the average: [method][figure].
struct ColumnGroup {
    std::string name;
    std::vector<std::array<Cell, kFigures.size()>> rows;
};

// What the means over the OOD sets stand under.
inline constexpr std::string_view kAverage = "Average";

// All OOD sets in order, then kAverage where there is more than one.
std::vector<ColumnGroup> column_groups(const Results& results);

// The groups in blocks of at most `most`, as even as can be: 7 by 3 are 3, 2, 2.
std::vector<std::vector<ColumnGroup>> in_blocks(std::vector<ColumnGroup> groups, size_t most);

// Images at a time; "chosen" where the run was left to choose.
std::string batch_text(const RunInfo& run);

// "260 images", "148 of 150 images, 2 excluded".
std::string image_counts(const SetInfo& set);

std::string title(const Results& results);  // "mobilenet-v2 on imagenet-sample"
inline constexpr std::string_view kConventions =
    "ID is the positive class; FPR95 = FPR at the ID recall closest to 95 %. Figures in percent.";
// Of a file of RunInfo::limited_fits.
std::string under_limit(const std::string& file, int64_t images);
std::string not_comparable(const Results& results);  // why; empty where it is comparable

}  // namespace gs
