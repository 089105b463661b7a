// gradscore fit: what methods learn from a set of images, as a statistics file.
#include <filesystem>
#include <iostream>

#include "core/join.h"
#include "report/text.h"
#include "tools/fitter.h"
#include "tools/setup.h"

namespace gs {
namespace {

void print(const FitFlags& flags, const std::vector<MethodSpec>& methods, const Statistics& statistics) {
    if (flags.quiet) return;
    std::cout << flags.out << ": " << join(methods, ", ", &MethodSpec::written) << ", fitted on "
              << grouped(static_cast<int64_t>(statistics.seen.size())) << " images of " << statistics.set;
    if (statistics.shards > 1)
        std::cout << ", shard " << statistics.shard << " of " << statistics.shards
                  << " (gradscore merge joins them)";
    std::cout << '\n';
}

}  // namespace

int run_fit(const FitFlags& flags) {
    check_limit(flags.limit);
    check_output_file(flags.out, flags.force);
    const std::vector<MethodSpec> methods = parse_methods(flags.methods);
    FitterOptions options = fitter_options(flags);
    if (!flags.shard.empty()) options.shard = parse_shard(flags.shard);
    const auto backend = make_backend(flags.net);
    LoadedNet loaded = load_net(*backend, flags.net);
    const Preprocess preprocess = resolve_preprocess(loaded.net.preprocess, flags.preprocess);
    std::vector<std::unique_ptr<Fit>> fits;
    for (const MethodSpec& method : methods) fits.push_back(make_fit(method, {loaded.net, preprocess}));
    const auto set = open_image_set(flags.id, flags.seed);
    for (const std::string& notice : set->notices()) loaded.notices.push_back(set->name() + ": " + notice);
    introduce(loaded, preprocess, *backend, flags.quiet);

    catch_interrupts();
    FitOutcome outcome = fit_methods(*backend, loaded.net, preprocess, *set, fits, options);
    if (!outcome.complete) throw Error(ErrorKind::Interrupted, "interrupted: nothing was written");
    for (const std::string& notice : outcome.notices) say("notice: " + notice);
    const Statistics statistics{.net = loaded.net.name,
                                .weights_sha256 = loaded.net.weights_sha256,
                                .preprocess = preprocess.describe(),
                                .precision = flags.net.precision,
                                .set = set->name() + "=" + set->description(),
                                .total = outcome.total,
                                .shard = options.shard.index,
                                .shards = options.shard.count,
                                .seen = std::move(outcome.seen),
                                .states = std::move(outcome.states)};
    write_statistics(flags.out, statistics);
    print(flags, methods, statistics);
    return say_excluded(static_cast<int64_t>(outcome.failures.size()), "named above");
}

}  // namespace gs
