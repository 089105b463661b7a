// Which class is positive, as the page's conventions and docs/file-formats.md say, and as it is computed.
#include "report/conventions.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "core/files.h"
#include "report/results.h"

namespace gs {
namespace {

using Names = std::set<std::string, std::less<>>;

// Precision grows with the share of the positive class. An FPR is counted in images of the other class: of 3
// OOD images with OOD negative, of 7 ID images with ID negative.
Names computed_with_ood_positive() {
    const std::vector<double> many(30, 1.0), few(10, 1.0);
    const DetectionMetrics more_id = detection_metrics(many, few), more_ood = detection_metrics(few, many);
    const std::vector<double> id{1, 2, 3, 4, 5, 6, 7}, ood{0.5, 2.5, 5.5};
    const DetectionMetrics counted = detection_metrics(id, ood);
    Names names;
    for (const MetricField& f : metric_fields()) {
        const std::string name(f.name);
        const bool is_fpr = name.starts_with("fpr95");
        if (is_fpr ? counted.*f.value == 5.0 / 7
                   : name.starts_with("aupr") && more_id.*f.value < more_ood.*f.value)
            names.insert(name);
        EXPECT_TRUE(!is_fpr || counted.*f.value == 5.0 / 7 || counted.*f.value == 2.0 / 3) << name;
    }
    return names;
}

TEST(Conventions, SayWhichClassIsPositive) {
    const Names expected = computed_with_ood_positive();
    Names on_page;
    const auto add = [&](const Convention& c) {
        const bool ood = c.text.find("OOD positive") != c.text.npos;
        EXPECT_NE(ood, c.text.find(" ID positive") != c.text.npos || c.text.starts_with("ID positive"));
        if (ood) on_page.emplace(c.field);
    };
    for (const Convention& c : kFprConventions) add(c);
    for (const Convention& c : kAuprConventions) add(c);
    EXPECT_EQ(on_page, expected);

    const auto bytes =
        read_file(std::filesystem::path(GS_SOURCE_DIR) / "docs/file-formats.md", ErrorKind::Data);
    const std::string docs(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const std::string start = "but these, where OOD is positive:";
    const size_t at = docs.find(start);
    ASSERT_NE(at, docs.npos);
    const std::string list = docs.substr(at + start.size(), docs.find('|', at) - at - start.size());
    Names in_docs;
    const std::regex name("`([a-z0-9_]+)`");
    for (auto m = std::sregex_iterator(list.begin(), list.end(), name); m != std::sregex_iterator(); ++m)
        in_docs.insert((*m)[1]);
    EXPECT_EQ(in_docs, expected);
}

}  // namespace
}  // namespace gs
