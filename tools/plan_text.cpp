#include "tools/plan_text.h"

#include <iomanip>
#include <iterator>
#include <sstream>

namespace gs {

std::string human(double value, const char* unit) {
    static constexpr const char* kPrefixes[] = {"", "k", "M", "G", "T"};
    size_t i = 0;
    for (; value >= 1000 && i + 1 < std::size(kPrefixes); ++i) value /= 1000;
    std::ostringstream text;
    text << std::setprecision(value < 10 ? 2 : 1) << std::fixed << value << ' ' << kPrefixes[i] << unit;
    return text.str();
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
    std::ostringstream memory;
    memory << "memory      " << std::fixed << std::setprecision(1)
           << static_cast<double>(plan.arena_bytes) / (1 << 20) << " MiB for " << plan.max_batch
           << (plan.max_batch == 1 ? " image" : " images") << " at a time, " << plan.steps.size() << " steps";
    lines.push_back(memory.str());
    return lines;
}

}  // namespace gs
