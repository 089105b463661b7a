#include "report/table_parts.h"

#include "core/error.h"
#include "core/join.h"
#include "core/numbers.h"
#include "core/printable.h"
#include "report/text.h"

namespace gs {
namespace {

void mark_best(ColumnGroup& group) {
    for (size_t f = 0; f < kFigures.size(); ++f) {
        std::vector<std::string> column;
        for (const auto& row : group.rows) column.push_back(row[f].text);
        const std::string best = best_as_printed(column, kFigures[f].lower_is_better);
        for (auto& row : group.rows) row[f].best = row[f].text == best;
    }
}

ColumnGroup make_group(const std::string& name, const std::vector<const MethodMetrics*>& methods) {
    ColumnGroup group{printable(name), {}};
    for (const MethodMetrics* m : methods) {
        auto& row = group.rows.emplace_back();
        for (size_t f = 0; f < kFigures.size(); ++f) row[f].text = percent(m->metrics.*kFigures[f].value);
    }
    mark_best(group);
    return group;
}

}  // namespace

std::string best_as_printed(std::span<const std::string> column, bool lower_is_better) {
    if (column.size() < 2) return "";
    const std::string* text = nullptr;
    double best = 0;
    for (const std::string& shown : column) {
        const auto value = parse_number<double>(shown);
        if (!value) continue;  // "n/a"
        if (text == nullptr || (lower_is_better ? *value < best : *value > best)) {
            text = &shown;
            best = *value;
        }
    }
    return text != nullptr ? *text : "";
}

std::vector<ColumnGroup> column_groups(const Results& results) {
    std::vector<ColumnGroup> groups;
    const auto add = [&](const std::string& name, auto find) {
        std::vector<const MethodMetrics*> methods;
        for (const MethodInfo& m : results.methods) {
            methods.push_back(find(m.name));
            GS_REQUIRE(methods.back() != nullptr);
        }
        groups.push_back(make_group(name, methods));
    };
    for (const SetInfo& set : results.sets)
        if (set.role == SetRole::Ood)
            add(set.name, [&](const std::string& method) { return results.find(method, set.name); });
    if (groups.size() > 1)
        add(std::string(kAverage), [&](const std::string& method) { return results.find_average(method); });
    return groups;
}

std::vector<std::vector<ColumnGroup>> in_blocks(std::vector<ColumnGroup> groups, size_t most) {
    const size_t blocks = (groups.size() + most - 1) / most;
    std::vector<std::vector<ColumnGroup>> result(blocks);
    size_t next = 0;
    for (size_t b = 0; b < blocks; ++b) {
        const size_t count = groups.size() / blocks + (b < groups.size() % blocks ? 1 : 0);
        for (size_t k = 0; k < count; ++k) result[b].push_back(std::move(groups[next++]));
    }
    return result;
}

std::string batch_text(const RunInfo& run) {
    return run.batch > 0 ? grouped(run.batch) : "chosen";
}

std::string image_counts(const SetInfo& set) {
    const std::string all = counted(set.total, "image");
    if (set.scored == set.total) return all;
    std::string text = grouped(set.scored) + " of " + all;
    if (set.excluded > 0) text += ", " + grouped(set.excluded) + " excluded";
    return text;
}

std::string title(const Results& results) {
    return printable(results.run.net) + " on " + printable(results.id_set().name);
}

std::string under_limit(const std::string& file, int64_t images) {
    return printable(file, 1000) + " was fitted or searched under --limit " + std::to_string(images);
}

std::string not_comparable(const Results& results) {
    const RunInfo& run = results.run;
    std::vector<std::string> reasons;
    if (run.shard)
        reasons.push_back("only shard " + to_string(*run.shard) +
                          " of each set was scored (--shard); gradscore merge joins shards");
    if (!run.stopped.empty()) reasons.push_back("the run ended early: " + printable(run.stopped, 1000));
    if (run.limit)
        reasons.push_back("at most " + grouped(*run.limit) + " images of each set were scored (--limit)");
    for (const auto& [file, images] : run.limited_fits) reasons.push_back(under_limit(file, images));
    if (reasons.empty() && !results.complete()) reasons.push_back("images of a set are missing");
    return join(reasons, "; ");
}

}  // namespace gs
