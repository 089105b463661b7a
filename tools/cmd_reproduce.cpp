// gradscore reproduce: the sets and weights that are there through the net, once for all rows that share
// them, and what comes out beside a paper's figures. Leaves run folders, reproduce.json and reproduce.md.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/join.h"
#include "core/toml.h"
#include "metrics/draws.h"
#include "report/reproduction.h"
#include "report/scores_csv.h"
#include "report/table.h"
#include "report/table_parts.h"
#include "tools/owned_folder.h"
#include "tools/reproduce_plan.h"
#include "tools/score_run.h"
#include "tools/setup.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

int list_tables(bool json) {
    nlohmann::ordered_json all = nlohmann::ordered_json::array();
    for (const PaperTable& table : built_in_tables()) {
        all.push_back({{"name", table.name}, {"title", table.title}, {"papers", table.papers}});
        if (!json) std::cout << table.name << "\n    " << table.title << '\n';
    }
    if (json) std::cout << all.dump(1) << '\n';
    return 0;
}

// The flags of `gradscore score` that make the planned run.
ScoreFlags score_flags(const PlannedRun& run, const Given& given, const ReproduceFlags& flags,
                       const fs::path& out) {
    ScoreFlags score;
    score.net = flags.net;
    score.net.weights = given.weights.at(run.checkpoint->name).file;
    score.preprocess = preprocess_flags(*run.checkpoint);
    score.id = given.sets.at(run.checkpoint->id).spec;
    for (const std::string& set : run.ood) score.ood.push_back(given.sets.at(set).spec);
    score.methods = join(run.methods, ",");
    score.stats = run.stats;
    score.allow_fit_on_test = run.fits_on_test;
    score.out = (out / run.name).string();
    score.limit = flags.limit;
    score.force = flags.force;
    score.resume = flags.resume;
    score.quiet = flags.quiet;
    score.command_line = flags.command_line;
    return score;
}

// config.toml of the run: `gradscore score --config` makes it again.
std::string score_config(const ScoreFlags& f) {
    std::string text = "[score]\n";
    const auto add = [&](const char* key, const std::string& value) {
        if (!value.empty()) text += std::string(key) + " = " + toml_string(value) + "\n";
    };
    add("weights", f.net.weights);
    add("id", f.id);
    text += "ood = [" + join(f.ood, ", ", toml_string) + "]\n";
    add("methods", f.methods);
    add("stats", f.stats);
    if (f.allow_fit_on_test) text += "allow-fit-on-test = true\n";
    add("device", f.net.device);
    add("precision", f.net.precision);
    if (f.net.deterministic) text += "deterministic = true\n";
    text += "threads = " + std::to_string(f.net.threads) + "\nbatch = " + std::to_string(f.net.batch) + "\n";
    add("resize", f.preprocess.resize);
    add("crop", f.preprocess.crop);
    add("mean", f.preprocess.mean);
    add("std", f.preprocess.std);
    if (f.limit) text += "limit = " + std::to_string(*f.limit) + "\n";
    add("out", f.out);
    return text;
}

// One column of a set's score file.
std::vector<double> scores_of(const fs::path& run, const std::string& set, const std::string& method) {
    const ScoreTable table = read_scores_csv(run / "scores" / (set + ".csv"));
    const auto columns = table.columns();
    for (size_t m = 0; m < table.methods.size(); ++m)
        if (table.methods[m] == method) return columns[m];
    throw Error(ErrorKind::Internal,
                (run / "scores" / (set + ".csv")).string() + ": has no column " + method);
}

SetFigures figures_of(const PaperTable& table, const PlannedRun& run, const Results& results,
                      const std::string& set, const std::string& method, const fs::path& folder) {
    const MethodMetrics* metrics = results.find(method, set);
    GS_REQUIRE(metrics != nullptr);
    SetFigures figures{.all = metrics->metrics, .draws = {}, .not_comparable = ""};
    if (table.draws)
        figures.draws = drawn_metrics(scores_of(folder, run.checkpoint->id, method),
                                      scores_of(folder, set, method), table.draws->count, table.draws->images,
                                      /*seed=*/0);
    return figures;
}

std::string objection(const PlannedRun& run, const Given& given, const std::string& set) {
    const auto& weights = given.weights.at(run.checkpoint->name).objection;
    const auto& id = given.sets.at(run.checkpoint->id).objection;
    return !weights.empty() ? weights : !id.empty() ? id : given.sets.at(set).objection;
}

std::string objection_to_statistics(const TableRow& row, const Given& given, const RunInfo& run) {
    if (row.statistics.empty()) return "";
    const auto limited = run.limited_fits.find(given.stats.at(row.statistics));
    return limited == run.limited_fits.end() ? "" : under_limit(limited->first, limited->second);
}

void fill_rows(const PaperTable& table, const PlannedRun& run, const Given& given, const Results& results,
               const fs::path& folder, std::vector<RowRun>& rows) {
    for (const size_t r : run.rows)
        for (const std::string& set : run.ood) {
            SetFigures figures = figures_of(table, run, results, set, table.rows[r].method_on(set), folder);
            figures.not_comparable = objection(run, given, set);
            if (figures.not_comparable.empty())
                figures.not_comparable = objection_to_statistics(table.rows[r], given, results.run);
            rows[r].sets.emplace(set, std::move(figures));
        }
}

void check_out(const fs::path& out, Earlier earlier) {
    std::error_code error;
    if (fs::exists(out, error) && !fs::is_directory(out, error))
        throw Error(ErrorKind::Usage, "--out " + out.string() + ": exists and is no folder");
    if (fs::exists(out, error) && !fs::is_empty(out, error) && earlier == Earlier::Refuse)
        throw Error(ErrorKind::Usage,
                    "--out " + out.string() +
                        ": not empty; choose another folder, --resume to go on with unfinished "
                        "runs, or --force to move runs aside");
}

int dry_run(const PaperTable& table, const Given& given, const ReproducePlan& plan, bool json) {
    std::cout << (json ? needs_json(table, given, plan) : needs_text(table, given, plan));
    for (const auto& [name, set] : given.sets)
        if (!set.objection.empty()) return kSomeExcluded;
    for (const auto& [name, weights] : given.weights)
        if (!weights.objection.empty()) return kSomeExcluded;
    return 0;
}

// Nothing could be run: the reasons of the rows as one line.
[[noreturn]] void refuse(const PaperTable& table, const ReproducePlan& plan) {
    std::vector<std::string> reasons;
    for (size_t r = 0; r < table.rows.size(); ++r)
        if (plan.asked[r] && plan.not_run[r] &&
            std::find(reasons.begin(), reasons.end(), *plan.not_run[r]) == reasons.end())
            reasons.push_back(*plan.not_run[r]);
    throw Error(ErrorKind::Usage,
                "reproduce " + table.name + ": no row can be run: " +
                    (reasons.empty() ? "all are for comparison only" : join(reasons, "; ")) +
                    "; --dry-run lists what the table needs");
}

struct Outcome {
    std::vector<RowRun> rows;  // those of the table
    std::vector<std::string> notices;
    int64_t excluded = 0;  // images
};

// Nothing where it was interrupted: what was done is in the run folders.
std::optional<Outcome> run_all(const PaperTable& table, const Given& given, const ReproducePlan& plan,
                               const ReproduceFlags& flags, const fs::path& out) {
    Outcome outcome;
    for (size_t r = 0; r < table.rows.size(); ++r)
        outcome.rows.push_back({.asked = plan.asked[r], .not_run = plan.not_run[r].value_or(""), .sets = {}});
    for (const PlannedRun& run : plan.runs) {
        ScoreFlags score = score_flags(run, given, flags, out);
        score.config = score_config(score);
        const ScoreRun done = score_to_folder(score);
        if (!done.complete) {
            say("interrupted: what was done is in " + score.out);
            return std::nullopt;
        }
        outcome.excluded += done.excluded();
        for (const Warning& warning : done.results.warnings) outcome.notices.push_back(warning.message);
        fill_rows(table, run, given, done.results, score.out, outcome.rows);
    }
    return outcome;
}

void publish(const Reproduction& reproduction, const fs::path& out, Earlier earlier, bool json) {
    const std::string as_json = reproduction_json(reproduction);
    std::error_code error;
    for (const char* name : {"reproduce.json", "reproduce.md"})
        if (earlier == Earlier::MoveAside && fs::exists(out / name, error)) move_aside(out / name);
    write_file_atomically(out / "reproduce.json", as_json);
    write_file_atomically(out / "reproduce.md", reproduction_markdown(reproduction));
    if (json)
        std::cout << as_json;
    else
        std::cout << reproduction_text(reproduction, locale_is_utf8())
                  << "\nRuns, reproduce.json, reproduce.md: " << out.string() << "/\n";
}

int exit_code(const Reproduction& reproduction, int64_t excluded) {
    say_excluded(excluded, "listed in the runs' results.json");
    if (!reproduction.limit && reproduction.count(Verdict::Out) > 0)
        return static_cast<int>(ErrorKind::Tolerance);
    return excluded > 0 || !reproduction.complete() ? kSomeExcluded : 0;
}

}  // namespace

int run_reproduce(const ReproduceFlags& flags) {
    if (flags.list) return list_tables(flags.json);
    if (flags.table.empty())
        throw Error(ErrorKind::Usage, "reproduce: needs a table; see gradscore reproduce --list");
    if (flags.limit && *flags.limit < 1) throw Error(ErrorKind::Usage, "--limit: must be 1 or more");
    const PaperTable table = find_table(flags.table);
    const fs::path out(flags.out.empty() ? "reproduce-" + table.name : flags.out);
    const Earlier earlier = earlier_run(flags.force, flags.resume);
    if (!flags.dry_run) check_out(out, earlier);
    const Given given = examine(table, flags);
    const ReproducePlan plan = plan_reproduction(table, given, flags);
    if (flags.dry_run) return dry_run(table, given, plan, flags.json);
    if (plan.runs.empty()) refuse(table, plan);
    const std::optional<Outcome> outcome = run_all(table, given, plan, flags, out);
    if (!outcome) return static_cast<int>(ErrorKind::Interrupted);
    Reproduction reproduction = compare(table, outcome->rows, flags.limit);
    reproduction.gradscore_version = version();
    reproduction.command = flags.command_line;
    reproduction.missing = plan.missing;
    reproduction.notices = outcome->notices;
    publish(reproduction, out, earlier, flags.json);
    return exit_code(reproduction, outcome->excluded);
}

}  // namespace gs
