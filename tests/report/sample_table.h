// A small table with everything a table can have, for the tests of this folder.
#pragma once

#include <string>

namespace gs::test {

inline constexpr const char* kSampleTable = R"({
 "schema": "gradscore/table/1", "name": "sample", "title": "A sample", "papers": ["Nobody 2020"],
 "notes": ["Places is a guess."],
 "sources": {"paper": {"text": "table 1", "trust": "read"}, "memo": {"text": "a memo", "trust": "memory"}},
 "columns": [{"name": "fpr95", "label": "FPR95", "metric": "fpr95_closest", "better": "lower", "tolerance": 1},
             {"name": "auroc", "label": "AUROC", "metric": "auroc", "better": "higher", "tolerance": 0.5}],
 "sets": {"id": {"title": "ID", "images": 4}, "near": {"title": "Near", "hint": "folder:near"},
          "far": {"title": "Far", "images": 5, "size": "1 MB", "get": "a site", "licence": "CC0", "notes": ["n"]}},
 "checkpoints": {"net": {"title": "A net", "net": "wrn-40-2", "file": "w.pt", "sha256": ["0b59e178"],
                         "id": "id", "ood": ["near", "far"], "groups": {"Mean": ["near", "far"]},
                         "preprocess": {"resize": "32"}}},
 "statistics": {"fit": {"title": "means", "fit": "gradscore fit"}},
 "rows": [
  {"label": "MSP", "checkpoint": "net", "method": "msp", "source": "paper", "sources": {"far": [null, "memo"]},
   "tolerance": [2, null], "tolerances": {"near": [null, 0.25]},
   "figures": {"near": [50, 80], "far": [null, 90.5], "Mean": [40, 85.25]}, "notes": ["a note"]},
  {"label": "GAIA", "checkpoint": "net", "method": "gaia-z", "method_for": {"far": "gaia-z:hooks=textures"}},
  {"label": "KL", "checkpoint": "net", "method": "klm", "statistics": "fit", "fit_on_test": "from test labels"},
  {"label": "Other", "checkpoint": "net", "reference": "not stated", "source": "memo", "figures": {"far": [12, null]}}]
})";

// kSampleTable with the first `from` replaced.
inline std::string sample_with(const std::string& from, const std::string& to) {
    std::string text = kSampleTable;
    const size_t at = text.find(from);
    return at == std::string::npos ? "no such part" : text.replace(at, from.size(), to);
}

}  // namespace gs::test
