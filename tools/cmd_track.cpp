// gradscore track: gradient tracking as a scoring run.
#include "tools/commands.h"

namespace gs {

ScoreFlags tracking_run(const TrackFlags& flags) {
    const bool original = flags.form == "original_single";
    std::string method = "track:loss=" + flags.loss + ":score=" + flags.score + ":form=" + flags.form;
    if (!flags.margin.empty()) method += ":margin=" + flags.margin;
    method += original ? ":detector=" + flags.detector : ":p=" + flags.p;
    const std::string layers = flags.layers.empty() ? (original ? "head" : "each") : flags.layers;
    ScoreFlags run = flags.run;
    run.methods = method + ":layers=" + layers;
    // The last layer's gradient is the outer product of the loss's gradient at the logits and the features.
    run.save = original ? std::vector<std::string>{"logits", "features"}
                        : std::vector<std::string>{"norms", "logits", "features"};
    return run;
}

}  // namespace gs
