// Small pictures of the images that a report shows.
#pragma once

#include <cstdint>

#include "report/run_report.h"

namespace gs {

// Opens the sets of the run as results.json describes them and adds a thumbnail of every image of
// report.methods[].hardest that is still there: at most 96 pixels wide and high, JPEG. What is not there, or
// is another image now as far as its name tells, is said in report.no_thumbnails.
void add_thumbnails(RunReport& report, int64_t max_pixels);

}  // namespace gs
