#include "tools/plan_text.h"

#include <iterator>

#include "report/text.h"

namespace gs {

std::string human(double value, const char* unit) {
    static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T"};
    size_t i = 0;
    for (; value >= 1000 && i + 1 < std::size(kPrefixes); ++i) value /= 1000;
    return fixed(value, value < 10 ? 2 : 1) + ' ' + kPrefixes[i] + unit;
}

std::vector<std::string> plan_lines(const Net& net, const Plan& plan) {
    std::vector<std::string> lines{"forward     " + std::to_string(net.nodes.size()) + " layers, " +
                                   human(plan.flops(Step::Phase::Forward), "FLOP") + " an image"};
    for (const BackwardSummary& b : plan.backwards) {
        lines.push_back("backward    " + std::to_string(b.cotangents.size()) +
                        (b.cotangents.size() == 1 ? " cotangent" : " cotangents, one pass") +
                        (b.class_rows > 0 ? " of " + std::to_string(b.class_rows) + " logits" : "") + ", " +
                        std::to_string(b.nodes) + " of " + std::to_string(b.nodes_of_net) +
                        " layers, down to " + b.deepest + ", " + human(b.flops, "FLOP"));
        for (const Cotangent& c : b.cotangents) lines.push_back("              " + to_string(c));
    }
    if (plan.backwards.empty()) lines.push_back("backward    none");
    if (plan.flops(Step::Phase::Second) > 0)
        lines.push_back("second      " + human(plan.flops(Step::Phase::Second), "FLOP") +
                        " on changed inputs");
    lines.push_back("memory      " + fixed(static_cast<double>(plan.arena_bytes) / (1 << 20), 1) +
                    " MiB for " + counted(plan.max_batch, "image") + " at a time, " +
                    std::to_string(plan.steps.size()) + " steps");
    return lines;
}

}  // namespace gs
