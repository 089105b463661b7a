// The published conventions behind the figures' names, for people.
#pragma once

#include <array>
#include <string_view>

namespace gs {

struct Convention {
    std::string_view field;   // of results.json
    std::string_view column;  // head of its column
    std::string_view text;    // which class is positive, which rule, who uses it
};

inline constexpr std::array<Convention, 5> kFprConventions{{
    {"fpr95_closest", "FPR95", "ID positive, recall closest to 95 % (GradNorm, MOS, Energy)"},
    {"fpr95_first", "FPR95", "ID positive, first recall of at least 95 % (textbook)"},
    {"fpr95_threshold", "FPR95", "ID positive, threshold at rank round(0.05 n) (GAIA)"},
    {"fpr95_ood_positive", "FPR95", "OOD positive, first recall of at least 95 % (OpenOOD, pytorch-ood)"},
    {"fpr95_ood_positive_closest", "FPR95", "OOD positive, recall closest to 95 % (Outlier Exposure)"},
}};
inline constexpr std::array<Convention, 6> kAuprConventions{{
    {"aupr_in", "AUPR-in", "ID positive, average precision (GradNorm, MOS, Energy)"},
    {"aupr_out", "AUPR-out", "OOD positive, average precision"},
    {"aupr_in_trapezoid", "AUPR-in", "ID positive, trapezoids from precision 0 (GAIA)"},
    {"aupr_out_trapezoid", "AUPR-out", "OOD positive, trapezoids from precision 0 (GAIA)"},
    {"aupr_in_openood", "AUPR, OOD", "OpenOOD 1.5's aupr_in: OOD positive, trapezoids"},
    {"aupr_out_openood", "AUPR, ID", "OpenOOD 1.5's aupr_out: ID positive, trapezoids"},
}};
// The figures that have one convention.
inline constexpr std::array<Convention, 2> kOtherFigures{{
    {"auroc", "AUROC", "area under the ROC curve: Mann-Whitney, ties count one half"},
    {"dterr", "DTERR",
     "least share of wrong decisions at any threshold, over all ID and OOD images together (GAIA)"},
}};

}  // namespace gs
