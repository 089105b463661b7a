// gradscore track: gradient tracking as a scoring run.
#include "tools/commands.h"

namespace gs {

ScoreFlags tracking_run(const TrackFlags& flags) {
    const TrackFlags usual;
    const bool original = flags.form == "original_single";
    std::string method = "track";
    const auto add = [&](const char* name, const std::string& value, const std::string& fallback) {
        if (value != fallback) method += std::string(":") + name + "=" + value;
    };
    add("loss", flags.loss, usual.loss);
    add("margin", flags.margin, usual.margin);
    add("form", flags.form, usual.form);
    add("params", flags.params, usual.params);
    add("p", flags.p, usual.p);
    add("detector", flags.detector, usual.detector);
    add("score", flags.score, "");
    add("layers", flags.layers.empty() ? (original ? "head" : "each") : flags.layers, "");
    ScoreFlags run = flags.run;
    run.methods = method;
    run.save = {"logits",
                "features"};  // the last layer's gradient is an outer product of what follows from them
    if (!original) run.save.insert(run.save.begin(), "norms");
    return run;
}

}  // namespace gs
