// gradscore fit: what methods learn from a set of images, as a statistics file.
#include <iostream>

#include "core/join.h"
#include "core/printable.h"
#include "report/text.h"
#include "tools/fitter.h"
#include "tools/image_sets.h"
#include "tools/journaled_file.h"
#include "tools/score_start.h"
#include "tools/setup.h"

namespace gs {
namespace {

void print(const FitFlags& flags, const std::vector<MethodSpec>& methods, const Statistics& statistics) {
    if (flags.quiet) return;
    std::cout << flags.out << ": " << join(methods, ", ", &MethodSpec::written) << ", fitted on "
              << counted(std::ssize(statistics.seen), "image") << " of " << printable(statistics.set, 1000);
    if (statistics.limit) std::cout << ", under --limit: what it scores is not comparable";
    if (statistics.shards > 1)
        std::cout << ", shard " << statistics.shard << " of " << statistics.shards
                  << " (gradscore merge joins them)";
    std::cout << '\n';
}

}  // namespace

int run_fit(const FitFlags& flags) {
    check_limit(flags.limit);
    const Earlier earlier = earlier_run(flags.force, flags.resume);
    check_output_file(flags.out, earlier != Earlier::Refuse);
    require_other_file(flags.out, flags.net.weights, "--weights");
    JournaledFile file(flags.out, earlier, "fit");
    const std::vector<MethodSpec> methods = parse_methods(flags.methods);
    FitterOptions options{image_run_options(flags)};
    if (!flags.shard.empty()) options.shard = parse_shard(flags.shard);
    const auto backend = make_backend(flags.net);
    LoadedNet loaded = load_net(*backend, flags.net);
    const Preprocess preprocess = resolve_preprocess(loaded.net.preprocess, flags.preprocess);
    std::vector<std::unique_ptr<Fit>> fits;
    for (const MethodSpec& method : methods) fits.push_back(make_fit(method, {loaded.net, preprocess}));
    const auto set = open_image_set(flags.id, flags.seed);
    for (std::string& notice : notices_of(*set, flags.preprocess))
        loaded.notices.push_back(std::move(notice));
    require_apart(flags.out, {set.get()});
    const RunStart start = run_start(flags, loaded, preprocess, *backend, {set.get()});
    introduce(loaded, preprocess, *backend, flags.quiet);

    catch_interrupts();
    file.lock();
    if (file.is_finished()) {
        const Statistics done = read_statistics(flags.out);
        require_same_run(start.identity, done.started_with, flags.out);
        say(flags.out + " is finished: nothing to do");
        return say_excluded(done.excluded, "named when they were met");
    }
    Statistics statistics{.net = loaded.net.name,
                          .weights_sha256 = loaded.net.weights_sha256,
                          .preprocess = preprocess.describe(),
                          .precision = flags.net.precision,
                          .set = set->name() + "=" + set->description(),
                          .total = set->size(),
                          .limit = flags.limit,
                          .shard = options.shard.index,
                          .shards = options.shard.count,
                          .seen = {},
                          .states = {},
                          .started_with = start.identity};
    RunJournal journal = file.open(start, flags.quiet);
    options.journal = &journal;
    FitOutcome outcome;
    try {
        outcome = fit_methods(*backend, loaded.net, preprocess, *set, fits, options);
    } catch (const Error& error) {
        journal.give_up(error);
        throw;
    }
    if (!outcome.complete) throw journal.interrupted();
    for (const std::string& notice : outcome.notices) say("notice: " + notice);
    statistics.seen = std::move(outcome.seen);
    statistics.states = std::move(outcome.states);
    statistics.excluded = std::ssize(outcome.failures);
    file.make_room();
    write_statistics(flags.out, statistics);
    journal.finish();
    print(flags, methods, statistics);
    return say_excluded(statistics.excluded, "named above");
}

}  // namespace gs
