#include "tools/reproduce_plan.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/join.h"
#include "core/printable.h"
#include "data/image_set.h"
#include "report/text.h"
#include "scores/statistics.h"
#include "tools/embedded_tables.h"
#include "tools/setup.h"

namespace gs {
namespace {

constexpr auto kName = [](const auto& item) { return item.name; };

// The files of a flag "[NAME=]FILE" by the names of the table's things that they are of; NAME may be left out
// where there is one.
template <class T>
std::map<std::string, std::string> named_files(const std::string& flag, const std::vector<std::string>& texts,
                                               const std::vector<T>& things) {
    std::map<std::string, std::string> files;
    for (const std::string& text : texts) {
        const size_t equals = text.find('=');
        const auto named = std::find_if(things.begin(), things.end(), [&](const T& thing) {
            return equals != std::string::npos && thing.name == text.substr(0, equals);
        });
        if (named == things.end() && things.size() != 1)
            throw Error(ErrorKind::Usage, flag + " " + text + ": NAME=FILE needs one of the table's names: " +
                                              (things.empty() ? "it has none" : join(things, ", ", kName)));
        const bool whole = named == things.end();
        const std::string& name = whole ? things.front().name : named->name;
        if (!files.emplace(name, whole ? text : text.substr(equals + 1)).second)
            throw Error(ErrorKind::Usage, flag + ": '" + name + "' is given twice");
    }
    return files;
}

GivenSet examine_set(const TableSet& set, const std::string& spec) {
    GivenSet given{.spec = spec, .images = open_image_set(spec)->size(), .objection = ""};
    if (set.images && given.images != *set.images)
        given.objection =
            set.name + " has " + grouped(given.images) + " images, the table's had " + grouped(*set.images);
    return given;
}

std::map<std::string, GivenSet> examine_sets(const PaperTable& table, const std::vector<std::string>& data) {
    std::map<std::string, GivenSet> sets;
    for (const std::string& spec : data) {
        const std::string name = spec.substr(0, spec.find('='));
        const TableSet* set = spec.find('=') == std::string::npos ? nullptr : table.set(name);
        if (set == nullptr)
            throw Error(ErrorKind::Usage, "--data " + spec +
                                              ": NAME=KIND:PATH needs one of the table's names: " +
                                              join(table.sets, ", ", kName));
        if (sets.contains(name)) throw Error(ErrorKind::Usage, "--data: '" + name + "' is given twice");
        sets.emplace(name, examine_set(*set, spec));
    }
    return sets;
}

bool hash_is_known(const TableCheckpoint& checkpoint, const std::string& sha256) {
    return checkpoint.sha256.empty() ||
           std::any_of(checkpoint.sha256.begin(), checkpoint.sha256.end(),
                       [&](const std::string& known) { return sha256.starts_with(known); });
}

std::set<std::string> methods_of(const TableRow& row) {
    std::set<std::string> methods;
    if (!row.method.empty()) methods.insert(row.method);
    for (const auto& [set, method] : row.method_for) methods.insert(method);
    return methods;
}

bool has_method(const std::string& name) {
    const auto& all = method_descriptions();
    return std::any_of(all.begin(), all.end(), [&](const auto& m) { return m.name == name; });
}

// Why a row's methods cannot be run on the net; empty where they can.
std::string why_not(const TableRow& row, const LoadedNet& loaded, const Preprocess& preprocess,
                    const std::string& precision, const Given& given) {
    const auto file = given.stats.find(row.statistics);
    try {
        StatisticsStore statistics(file == given.stats.end() ? "" : file->second,
                                   computation_of(loaded.net, preprocess, precision));
        for (const std::string& method : methods_of(row))
            for (const MethodSpec& spec : parse_methods(method))
                make_score(spec, {loaded.net, preprocess, file == given.stats.end() ? nullptr : &statistics});
        return "";
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::Usage) throw;
        return error.what();
    }
}

GivenWeights examine_weights(const PaperTable& table, const TableCheckpoint& checkpoint, const Given& others,
                             NetFlags net, const std::string& file) {
    net.weights = file;
    const auto backend = make_backend(net);
    const LoadedNet loaded = load_net(*backend, net);
    if (loaded.net.name != checkpoint.net)
        throw Error(ErrorKind::Weights, file + ": is a " + loaded.net.name + ", the table's '" +
                                            checkpoint.name + "' is a " + checkpoint.net);
    GivenWeights given{.file = file, .sha256 = loaded.net.weights_sha256, .objection = "", .cannot = {}};
    if (!hash_is_known(checkpoint, given.sha256))
        given.objection = "the weights of " + checkpoint.name + " have SHA-256 " + given.sha256.substr(0, 8) +
                          "…, the published file's begins with " +
                          join(checkpoint.sha256, " or ", [](auto& hash) { return hash.substr(0, 8); });
    const Preprocess preprocess = resolve_preprocess(loaded.net.preprocess, preprocess_flags(checkpoint));
    for (size_t r = 0; r < table.rows.size(); ++r)
        if (table.rows[r].checkpoint == checkpoint.name)
            if (const std::string why = why_not(table.rows[r], loaded, preprocess, net.precision, others);
                !why.empty())
                given.cannot.emplace(r, why);
    return given;
}

// Why a row cannot be run; nothing where it can. What the user can change comes last.
std::optional<std::string> obstacle(const PaperTable& table, size_t index, const Given& given,
                                    const ReproduceFlags& flags) {
    const TableRow& row = table.rows[index];
    const TableCheckpoint& checkpoint = *table.checkpoint(row.checkpoint);
    if (!row.reference.empty()) return std::nullopt;
    for (const std::string& method : methods_of(row)) {
        const std::string name = method.substr(0, method.find(':'));
        if (!has_method(name)) return "this version has no method '" + name + "'";
    }
    if (!row.fit_on_test.empty() && !flags.allow_fit_on_test)
        return "its protocol learns from the images it scores (" + row.fit_on_test +
               "); --allow-fit-on-test runs it, labelled invalid";
    std::vector<std::string> lacks;
    const auto weights = given.weights.find(checkpoint.name);
    if (weights == given.weights.end()) {
        lacks.push_back("the weights of " + checkpoint.name);
    } else if (const auto why = weights->second.cannot.find(index); why != weights->second.cannot.end()) {
        return why->second;
    }
    if (!row.statistics.empty() && !given.stats.contains(row.statistics))
        lacks.push_back("the statistics " + row.statistics);
    if (!given.sets.contains(checkpoint.id)) lacks.push_back("the ID set " + checkpoint.id);
    const bool any_ood = std::any_of(checkpoint.ood.begin(), checkpoint.ood.end(),
                                     [&](const std::string& set) { return given.sets.contains(set); });
    if (!any_ood) lacks.push_back("an OOD set (" + join(checkpoint.ood) + ")");
    if (lacks.empty()) return std::nullopt;
    return "not given: " + join(lacks);
}

PlannedRun open_run(const TableRow& row, const TableCheckpoint& checkpoint, const Given& given) {
    PlannedRun run;
    run.checkpoint = &checkpoint;
    run.name = checkpoint.name + (row.statistics.empty() ? "" : "-" + row.statistics) +
               (row.fit_on_test.empty() ? "" : "-fit-on-test");
    run.fits_on_test = !row.fit_on_test.empty();
    for (const std::string& set : checkpoint.ood)
        if (given.sets.contains(set)) run.ood.push_back(set);
    return run;
}

// Adds the row to a run of its net that has the same statistics or needs none, or opens one. Rows that fit on
// test images are never in one run with valid ones.
void add_to_runs(std::vector<PlannedRun>& runs, size_t index, const TableRow& row,
                 const TableCheckpoint& checkpoint, const Given& given) {
    const std::string stats = row.statistics.empty() ? "" : given.stats.at(row.statistics);
    auto run = std::find_if(runs.begin(), runs.end(), [&](const PlannedRun& r) {
        return r.checkpoint == &checkpoint && r.fits_on_test == !row.fit_on_test.empty() &&
               (stats.empty() || r.stats.empty() || r.stats == stats);
    });
    if (run == runs.end()) run = runs.insert(runs.end(), open_run(row, checkpoint, given));
    if (!stats.empty()) run->stats = stats;
    run->rows.push_back(index);
    for (const std::string& method : methods_of(row))
        if (std::find(run->methods.begin(), run->methods.end(), method) == run->methods.end())
            run->methods.push_back(method);
}

bool asked_for(const TableRow& row, const std::vector<std::string>& methods) {
    if (methods.empty()) return true;
    const std::string name = row.method.substr(0, row.method.find(':'));
    return std::any_of(methods.begin(), methods.end(),
                       [&](const std::string& m) { return m == name || m == row.method; });
}

std::string with_size(const std::string& title, const std::string& size) {
    return title + (size.empty() ? "" : ", " + size);
}

std::vector<std::string> missing_things(const PaperTable& table, const Given& given,
                                        const ReproducePlan& plan) {
    std::set<std::string> sets, checkpoints, statistics;
    for (size_t r = 0; r < table.rows.size(); ++r) {
        if (!plan.asked[r] || !table.rows[r].reference.empty()) continue;
        const TableCheckpoint& c = *table.checkpoint(table.rows[r].checkpoint);
        checkpoints.insert(c.name);
        statistics.insert(table.rows[r].statistics);
        sets.insert(c.id);
        sets.insert(c.ood.begin(), c.ood.end());
    }
    std::vector<std::string> missing;
    for (const TableCheckpoint& c : table.checkpoints)
        if (checkpoints.contains(c.name) && !given.weights.contains(c.name))
            missing.push_back("weights " + c.name + ": " + with_size(c.title, c.size) + "; " + c.get);
    for (const TableStatistics& s : table.statistics)
        if (statistics.contains(s.name) && !given.stats.contains(s.name))
            missing.push_back("statistics " + s.name + ": " + s.title + "; " + s.fit);
    for (const TableSet& s : table.sets)
        if (sets.contains(s.name) && !given.sets.contains(s.name))
            missing.push_back("set " + s.name + ": " + with_size(s.title, s.size) + "; " + s.get);
    return missing;
}

}  // namespace

PreprocessFlags preprocess_flags(const TableCheckpoint& checkpoint) {
    const auto value = [&](const std::string& key) {
        const auto at = checkpoint.preprocess.find(key);
        return at == checkpoint.preprocess.end() ? std::string() : at->second;
    };
    return {.resize = value("resize"),
            .crop = value("crop"),
            .mean = value("mean"),
            .std = value("std"),
            .pillow13 = false};
}

std::vector<PaperTable> built_in_tables() {
    std::vector<PaperTable> tables;
    for (const std::string_view text : embedded_tables())
        tables.push_back(paper_table_from_json(text, "built-in table"));
    return tables;
}

PaperTable find_table(const std::string& name_or_file) {
    std::vector<std::string> names;
    for (PaperTable& table : built_in_tables()) {
        if (table.name == name_or_file) return table;
        names.push_back(table.name);
    }
    std::error_code error;
    if (std::filesystem::exists(name_or_file, error)) return read_paper_table(name_or_file);
    throw Error(ErrorKind::Usage, "reproduce " + name_or_file + ": neither a file nor one of the tables " +
                                      join(names) + "; see gradscore reproduce --list");
}

Given examine(const PaperTable& table, const ReproduceFlags& flags) {
    Given given;
    given.sets = examine_sets(table, flags.data);
    given.stats = named_files("--stats", flags.stats, table.statistics);
    for (const auto& [name, file] : given.stats) read_statistics(file);
    for (const auto& [name, file] : named_files("--weights", flags.weights, table.checkpoints))
        given.weights.emplace(name, examine_weights(table, *table.checkpoint(name), given, flags.net, file));
    return given;
}

ReproducePlan plan_reproduction(const PaperTable& table, const Given& given, const ReproduceFlags& flags) {
    ReproducePlan plan;
    for (size_t r = 0; r < table.rows.size(); ++r) {
        const TableRow& row = table.rows[r];
        const TableCheckpoint& checkpoint = *table.checkpoint(row.checkpoint);
        plan.asked.push_back(asked_for(row, flags.methods));
        plan.not_run.push_back(obstacle(table, r, given, flags));
        if (plan.asked.back() && !plan.not_run.back() && row.reference.empty())
            add_to_runs(plan.runs, r, row, checkpoint, given);
    }
    if (std::find(plan.asked.begin(), plan.asked.end(), true) == plan.asked.end())
        throw Error(ErrorKind::Usage, "--method " + join(flags.methods) +
                                          ": the table has no such row; it has " +
                                          join(table.rows, ", ", [](const TableRow& row) {
                                              return row.method.empty() ? row.label : row.method;
                                          }));
    plan.missing = missing_things(table, given, plan);
    return plan;
}

}  // namespace gs
