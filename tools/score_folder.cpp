#include "tools/score_folder.h"

#include "core/files.h"
#include "report/results_json.h"
#include "report/text.h"
#include "tools/run_folder.h"
#include "tools/score_start.h"
#include "tools/setup.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

fs::path config_path(const fs::path& run) {
    return run / "config.toml";
}

}  // namespace

fs::path journal_path(const fs::path& run) {
    return run / "journal";
}

std::optional<Results> finished_run(const fs::path& out, const RunStart& start) {
    std::error_code error;
    if (is_unused(out) || fs::exists(journal_path(out), error)) return {};
    const std::string name = "--resume " + out.string() + ": ";
    if (!fs::exists(out / "results.json", error))
        throw Error(ErrorKind::Usage, name + "neither a journal nor results in it: not a run to go on with");
    Results results = read_results_json(out / "results.json");
    if (!results.run.stopped.empty())
        throw Error(ErrorKind::Usage,
                    name + "the run ended early and left no journal; --force moves it aside and begins anew");
    require_same_run(start.identity, results.run.started_with, out.string());
    return results;
}

OpenRun open_run(const fs::path& out, Earlier earlier, const RunStart& start, const std::string& config,
                 const std::vector<std::string>& inside, bool quiet) {
    OwnedFolder folder(out, earlier, "--out", "score");
    const bool goes_on = earlier == Earlier::GoOn && !folder.was_empty();
    RunJournal journal = goes_on ? RunJournal::resume(journal_path(out), start, out.string())
                                 : RunJournal::begin(journal_path(out), start);
    folder.prepare(inside);
    std::error_code error;
    if (!fs::exists(config_path(out), error)) write_file_atomically(config_path(out), config);
    if (journal.resumed() && !quiet)
        say("going on with " + out.string() + ", where " + grouped(journal.images()) + " images are done");
    if (earlier == Earlier::GoOn && !journal.resumed())
        say("notice: nothing to go on with in " + out.string() + "; beginning");
    return {std::move(folder), std::move(journal)};
}

Results write_scored(const fs::path& out, RunInfo info, const Scorer& scorer,
                     const std::vector<ScoredSet>& scored) {
    if (scorer.seconds() > 0)
        info.images_per_second = static_cast<double>(scorer.images_run()) / scorer.seconds();
    info.plan = scorer.plan();
    info.notices.insert(info.notices.end(), scorer.notices().begin(), scorer.notices().end());
    info.invalid_protocol.insert(info.invalid_protocol.end(), scorer.invalid_protocol().begin(),
                                 scorer.invalid_protocol().end());
    for (const MethodInfo& method : scorer.method_infos()) {
        const auto stats = method.options.find("stats");
        if (stats == method.options.end() || stats->second.empty() || info.statistics.contains(stats->second))
            continue;  // a file that several methods read is hashed once
        info.statistics[stats->second] = sha256_of_file(stats->second);
        if (const auto limit = limit_of_statistics(stats->second)) info.limited_fits[stats->second] = *limit;
    }
    Results results = summarise(std::move(info), scorer.method_infos(), scored);
    write_results(out, results);
    return results;
}

void keep_what_is_done(const fs::path& out, RunInfo info, const Scorer& scorer,
                       const std::vector<ScoredSet>& scored, const std::string& reason) {
    if (scored.empty()) return;
    info.notices.push_back("stopped, further sets are missing: " + reason);
    info.stopped = reason;
    try {
        write_scored(out, std::move(info), scorer, scored);
    } catch (const Error&) {  // the first error is the one to report
    }
}

}  // namespace gs
