// What the terminal's view and the Markdown page of a reproduction share.
#pragma once

#include <string>
#include <vector>

#include "report/reproduction.h"

namespace gs {

std::string column_head(const TableColumn& column, bool utf8);  // "FPR95↓"

// One figure's cells; empty where there is nothing. `difference` bears a mark where it is out of tolerance
// (!) or does not count (~).
std::string printed_text(const ComparedFigure& figure);
std::string ours_text(const ComparedFigure& figure);
std::string difference_text(const ComparedFigure& figure);
std::string spread_text(const ComparedFigure& figure);
std::string all_text(const ComparedFigure& figure);

std::string row_title(const ComparedRow& row);                 // "GradNorm (gradnorm; BiT-S R101x1)"
std::vector<std::string> row_remarks(const ComparedRow& row);  // invalid, reference, not comparable; notes
std::vector<std::string> not_run_rows(const Reproduction& reproduction);
std::vector<std::string> sources(const Reproduction& reproduction);  // of the rows shown, with their trust
std::string summary(const Reproduction& reproduction);               // one line

}  // namespace gs
