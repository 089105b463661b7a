// The result table for people: methods down, OOD sets and their average across, FPR95 (convention `closest`),
// AUROC and AUPR-in in percent.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "report/results.h"

namespace gs {

struct TableStyle {
    size_t width = 100;   // columns; more sets than fit go into further blocks
    bool utf8 = true;     // arrows and lines, or plain ASCII
    bool colour = false;  // the best figure of each column bold, by terminal escapes
};

// Title, conventions, sets with their accuracy, the table, warnings; ends with a newline.
std::string results_table(const Results& results, const TableStyle& style = {});

// The same as a page of GitHub-flavoured Markdown with the facts of the run: results.md.
std::string results_markdown(const Results& results);

// Whether the locale of the environment (LC_ALL, LC_CTYPE, LANG) is a UTF-8 one.
bool locale_is_utf8();

}  // namespace gs
