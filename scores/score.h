// A score: what it needs of each sample (a Request), and a pure function of the Evidence that answers it.
// Sign: higher means more in-distribution, for every score. Definitions: docs/methods.md.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/image.h"
#include "nets/net.h"
#include "passes/evidence.h"
#include "passes/request.h"

namespace gs {

struct GroupHead;

// A method as written on the command line: "odin:temperature=1000:epsilon=0.0014".
struct MethodSpec {
    std::string written;
    std::string name;
    std::map<std::string, std::string> options;
};

// Splits a comma-separated list. Throws Error(Usage) for empty items, malformed options and repeated columns.
std::vector<MethodSpec> parse_methods(std::string_view list);

// Every `layers=each` as one method for each module of the net that has parameters of the method's kinds, and
// one of layers=all behind them. Throws Error(Usage) for columns that then stand twice.
std::vector<MethodSpec> expand_layers(std::vector<MethodSpec> specs, const Net& net);

class Score {
  public:
    virtual ~Score() = default;
    virtual Request request() const = 0;
    // One value a sample; out.size() == evidence.samples.
    virtual void compute(const Evidence& evidence, std::span<double> out) const = 0;
    // Every option with the value that is used, defaults included: what results.json keeps.
    virtual std::map<std::string, std::string> options() const = 0;
    // Whether it wants to be fitted on the ID set itself, just before that is scored: a published protocol
    // that is no valid one. Known without statistics.
    virtual bool fitted_on_id_set() const { return false; }
    // The grouping of the net's logits that it reads, or null: then predictions are made by groups.
    virtual const GroupHead* group_head() const { return nullptr; }
};

class StatisticsStore;

// What a score may read besides the evidence.
struct ScoreContext {
    const Net& net;
    const Preprocess& preprocess;
    // Absent where only requests are asked for (plan): a score that needs a fit is made all the same, and
    // compute() throws Error(Usage).
    StatisticsStore* statistics = nullptr;
};

// score.compute(), with NaN for images whose logits are not all finite: what else is computed of such an
// image may come out finite, but means nothing.
void compute_scores(const Score& score, const Evidence& evidence, std::span<double> out);

// Throws Error(Usage) for unknown methods and options, and for values out of range.
std::unique_ptr<Score> make_score(const MethodSpec& spec, const ScoreContext& context);

struct MethodDescription {
    std::string name, summary, source, needs;
    std::vector<std::pair<std::string, std::string>> options;  // "temperature", "1; T > 0"
};
const std::vector<MethodDescription>& method_descriptions();

}  // namespace gs
