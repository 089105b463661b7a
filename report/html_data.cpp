// What the page's script reads.
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/printable.h"
#include "report/html_parts.h"
#include "report/text.h"

namespace gs::html {
namespace {

using Json = nlohmann::ordered_json;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// The text to be shown, and the number behind it, each figure in the order of metric_fields().
Json figures_json(const DetectionMetrics& metrics) {
    Json list = Json::array();
    for (const MetricField& f : metric_fields()) {
        const double value = metrics.*f.value;
        list.push_back({percent(value), std::isfinite(value) ? Json(value) : Json(nullptr)});
    }
    return list;
}

// The number of the fewest digits, five or more, that accepts the same images as the threshold: what the page
// shows can be used.
double short_threshold(double threshold, double below) {
    const double place = std::floor(std::log10(std::abs(threshold)));
    for (int digits = 5; digits < 17; ++digits) {
        const auto rounded = [digits](double value) {
            return parse_number<double>(significant(value, digits)).value_or(kNaN);
        };
        const double nearest = rounded(threshold),
                     lower = rounded(nearest - std::pow(10, place - digits + 1));
        for (const double value : {nearest, lower})
            if (value <= threshold && value > below) return value;
    }
    return threshold;
}

std::vector<double> short_thresholds(const ThresholdTable& table) {
    std::vector<double> values;
    for (size_t k = 0; k < table.thresholds.size(); ++k)
        values.push_back(short_threshold(table.thresholds[k], table.below[k]));
    return values;
}

Json method_json(const Page& page, const RunReport& run, size_t m) {
    const MethodReport& method = run.methods[m];
    const std::string& name = run.results.methods[m].name;
    Json figures = Json::object();
    for (size_t s = 1; s < run.results.sets.size(); ++s)
        figures[std::to_string(run.set_keys[s])] =
            figures_json(run.results.find(name, run.results.sets[s].name)->metrics);
    if (const MethodMetrics* average = page.average(run, name); average && page.lists.sets.size() > 1)
        figures["average"] = figures_json(average->metrics);
    return {{"key", run.method_keys[m]},
            {"figures", std::move(figures)},
            {"thresholds", short_thresholds(method.thresholds)},
            {"accepted", method.thresholds.accepted},
            {"scores", method.thresholds.scores},
            {"at95", method.thresholds.at_95},
            {"reaches95", method.thresholds.reaches_95}};
}

}  // namespace

std::string page_data(const Page& page) {
    Json data{{"fields", Json::array()},
              {"methods", page.lists.methods},
              {"runs", Json::array()},
              {"oneRun", !why_not_comparable(page.runs).empty()}};
    for (const MetricField& f : metric_fields()) data["fields"].push_back(std::string(f.name));
    for (const RunReport& run : page.runs) {
        Json sets = Json::array(), methods = Json::array();
        for (size_t s = 0; s < run.results.sets.size(); ++s)
            sets.push_back({{"name", printable(run.results.sets[s].name)},
                            {"key", s == 0 ? Json(nullptr) : Json(run.set_keys[s])}});
        for (size_t m = 0; m < run.methods.size(); ++m) methods.push_back(method_json(page, run, m));
        data["runs"].push_back({{"sets", std::move(sets)}, {"methods", std::move(methods)}});
    }
    // Inside a script element only "<" can end it or open a comment.
    std::string text = data.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::string safe;
    for (const char c : text) safe += c == '<' ? std::string("\\u003c") : std::string(1, c);
    return safe;
}

}  // namespace gs::html
