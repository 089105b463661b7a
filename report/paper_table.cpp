#include "report/paper_table.h"

#include <algorithm>

namespace gs {
namespace {

template <class T>
const T* by_name(const std::vector<T>& items, std::string_view wanted) {
    const auto at = std::find_if(items.begin(), items.end(), [&](const T& t) { return t.name == wanted; });
    return at == items.end() ? nullptr : &*at;
}

}  // namespace

std::string_view to_string(Trust trust) {
    switch (trust) {
        case Trust::Read:
            return "read";
        case Trust::Aggregator:
            return "aggregator";
        case Trust::Memory:
            return "memory";
        case Trust::Measured:
            break;
    }
    return "measured";
}

std::string_view describe(Trust trust) {
    switch (trust) {
        case Trust::Read:
            return "read at the source";
        case Trust::Aggregator:
            return "low trust: read on an aggregator's page only";
        case Trust::Memory:
            return "low trust: written down from memory";
        case Trust::Measured:
            break;
    }
    return "computed by gradscore";
}

std::vector<std::string> TableCheckpoint::places() const {
    std::vector<std::string> names = ood;
    for (const TableGroup& g : groups) names.push_back(g.name);
    return names;
}

const TableGroup* TableCheckpoint::group(std::string_view wanted) const {
    return by_name(groups, wanted);
}

const std::string& TableRow::method_on(const std::string& set) const {
    const auto at = method_for.find(set);
    return at == method_for.end() ? method : at->second;
}

const PrintedFigure* TableRow::printed(const std::string& place, size_t column) const {
    const auto at = figures.find(place);
    if (at == figures.end() || column >= at->second.size() || !at->second[column]) return nullptr;
    return &*at->second[column];
}

const FigureSource* PaperTable::source(std::string_view wanted) const {
    return by_name(sources, wanted);
}
const TableSet* PaperTable::set(std::string_view wanted) const {
    return by_name(sets, wanted);
}
const TableCheckpoint* PaperTable::checkpoint(std::string_view wanted) const {
    return by_name(checkpoints, wanted);
}
const TableStatistics* PaperTable::statistic(std::string_view wanted) const {
    return by_name(statistics, wanted);
}

}  // namespace gs
