// Spearman's rank correlation of the methods' scores as a matrix of numbers and shades.
#include <cmath>

#include "core/printable.h"
#include "report/chart.h"
#include "report/text.h"

namespace gs {

using namespace chart;
using svg::attributes;
using svg::number;

Chart agreement_chart(const RunReport& run, size_t set) {
    constexpr double kCell = 46, kRow = 30, kLeft = 12, kNames = 190, kTop = 28;
    const auto& matrix = run.agreement[set];
    const std::string name = printable(run.results.sets[set].name, kNameLimit);
    Chart chart;
    chart.subject = "Agreement of the methods";
    chart.set = name;
    chart.description = "Spearman's rank correlation of each two methods' scores of " + name + ".";
    chart.width = kNames + kCell * static_cast<double>(matrix.size()) + 12;
    chart.height = kTop + kRow * static_cast<double>(matrix.size()) + 10;
    for (size_t i = 0; i < matrix.size(); ++i) {
        const double y = kTop + kRow * static_cast<double>(i), x = kNames + kCell * static_cast<double>(i);
        const std::string label = std::to_string(i + 1);
        const std::string method = label + "  " + printable(run.results.methods[i].name, kNameLimit);
        chart.body += text(kLeft, y + 19, fitted(method, kNames - kLeft - 4));
        chart.body += text(x + kCell / 2, kTop - 8, label, "middle", "small");
        for (size_t j = 0; j < matrix.size(); ++j) {
            const double value = matrix[i][j], left = kNames + kCell * static_cast<double>(j);
            chart.body +=
                "<g class=\"cell\"><rect" +
                attributes({{"class", value < 0 ? "negative" : "positive"},
                            {"x", number(left + 1)},
                            {"y", number(y + 1)},
                            {"width", number(kCell - 2)},
                            {"height", number(kRow - 2)},
                            {"fill-opacity", number(std::isnan(value) ? 0 : 0.5 * std::abs(value), 2)}}) +
                "/>" + text(left + kCell / 2, y + 19, std::isnan(value) ? "n/a" : fixed(value, 2)) + "</g>\n";
        }
    }
    return chart;
}

}  // namespace gs
