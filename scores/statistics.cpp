#include "scores/statistics.h"

#include <algorithm>
#include <charconv>

#include "core/join.h"

namespace gs {
namespace {

std::string options_text(const std::map<std::string, std::string>& options) {
    return join(options, ":", [](const auto& option) { return option.first + "=" + option.second; });
}

bool has_options(const FitState& state, const std::map<std::string, std::string>& wanted) {
    return std::all_of(wanted.begin(), wanted.end(), [&](const auto& option) {
        const auto at = state.options.find(option.first);
        return at != state.options.end() && at->second == option.second;
    });
}

// The only state, or the only one that suits best; null where there is none such.
const FitState* best_of(std::span<const FitState* const> states,
                        const std::function<int(const FitState&)>& suits) {
    if (states.size() == 1) return states.front();
    if (!suits) return nullptr;
    int best = 0;
    const FitState* found = nullptr;
    for (const FitState* state : states) {
        const int level = suits(*state);
        if (level == best) found = nullptr;
        if (level > best) found = state;
        best = std::max(best, level);
    }
    return found;
}

// "klm:by=label"
std::string described(const std::string& method, const std::map<std::string, std::string>& options) {
    return method + (options.empty() ? "" : ":" + options_text(options));
}

}  // namespace

ImageDigest image_digest(const std::string& sha256_hex) {
    GS_REQUIRE(sha256_hex.size() == 64);
    ImageDigest digest{};
    for (size_t i = 0; i < digest.size(); ++i) {
        uint8_t byte = 0;
        const char* text = sha256_hex.data() + 2 * i;
        const auto [end, error] = std::from_chars(text, text + 2, byte, 16);
        GS_REQUIRE(error == std::errc() && end == text + 2);
        digest[i] = static_cast<std::byte>(byte);
    }
    return digest;
}

bool Statistics::saw(const ImageDigest& digest) const {
    return std::binary_search(seen.begin(), seen.end(), digest);
}

namespace {

[[noreturn]] void cannot_merge(const std::string& why) {
    throw Error(ErrorKind::Usage, "these statistics cannot be merged: " + why);
}

void check_same(const std::string& what, const std::string& a, const std::string& b) {
    if (a != b) cannot_merge("they differ in " + what + ": '" + a + "' and '" + b + "'");
}

std::string state_text(const FitState& state) {
    return described(state.method, state.options);
}
std::string states_text(const Statistics& s) {
    return join(s.states, ", ", state_text);
}

// What of a fit's start changes the images that it is of, or what is computed: neither paths nor what
// machines have.
std::string start_text(const Statistics& s) {
    std::vector<std::string> start;
    for (const auto& [name, value] : s.started_with)
        if (name == "--max-pixels" || name == "--no-fuse" || name.starts_with("images of "))
            start.push_back(name + " " + value);
    return join(start);
}

std::string limit_text(const Statistics& s) {
    return s.limit ? std::to_string(*s.limit) : "none";
}

// Sorted by shard, all of one fit, each shard once.
void check_shards(const std::vector<Statistics>& shards) {
    const Statistics& first = shards.front();
    for (const Statistics& s : shards) {
        check_same("the net", first.net, s.net);
        check_same("the weights' SHA-256", first.weights_sha256, s.weights_sha256);
        check_same("preprocessing", first.preprocess, s.preprocess);
        check_same("precision", first.precision, s.precision);
        check_same("the set", first.set, s.set);
        check_same("the set's images", std::to_string(first.total), std::to_string(s.total));
        check_same("--limit", limit_text(first), limit_text(s));
        check_same("the number of shards", std::to_string(first.shards), std::to_string(s.shards));
        check_same("methods", states_text(first), states_text(s));
        check_same("what they were started with", start_text(first), start_text(s));
    }
    for (size_t i = 0; i < shards.size(); ++i) {
        if (i > 0 && shards[i].shard == shards[i - 1].shard)
            cannot_merge("shard " + std::to_string(shards[i].shard) + " is there twice");
        if (shards[i].shard != static_cast<int64_t>(i))
            cannot_merge("shard " + std::to_string(i) + " of " + std::to_string(first.shards) +
                         " is missing");
    }
    if (static_cast<int64_t>(shards.size()) != first.shards)
        cannot_merge("shard " + std::to_string(shards.size()) + " of " + std::to_string(first.shards) +
                     " is missing");
}

}  // namespace

Statistics merge_statistics(std::vector<Statistics> shards) {
    if (shards.empty()) cannot_merge("none were given");
    std::stable_sort(shards.begin(), shards.end(),
                     [](const Statistics& a, const Statistics& b) { return a.shard < b.shard; });
    check_shards(shards);
    Statistics merged = shards.front();
    merged.shard = 0;
    merged.shards = 1;
    merged.started_with.erase("--shard");
    for (size_t i = 1; i < shards.size(); ++i) merged.excluded += shards[i].excluded;
    for (size_t m = 0; m < merged.states.size(); ++m) {
        std::vector<FitState> parts;
        for (Statistics& s : shards) parts.push_back(std::move(s.states[m]));
        merged.states[m] = merge_states(parts);
    }
    for (size_t i = 1; i < shards.size(); ++i)
        merged.seen.insert(merged.seen.end(), shards[i].seen.begin(), shards[i].seen.end());
    std::sort(merged.seen.begin(), merged.seen.end());
    merged.seen.erase(std::unique(merged.seen.begin(), merged.seen.end()), merged.seen.end());
    return merged;
}

struct StatisticsStore::File {
    Statistics statistics;
    bool used = false;  // a method has found its state here
};

StatisticsStore::StatisticsStore(std::filesystem::path fallback, Computation own)
    : fallback_(std::move(fallback)), own_(std::move(own)) {}
StatisticsStore::~StatisticsStore() = default;
StatisticsStore::StatisticsStore(StatisticsStore&&) noexcept = default;

StatisticsStore::File& StatisticsStore::open(const std::filesystem::path& path) {
    const auto known = files_.find(path);
    if (known != files_.end()) return *known->second;
    auto file = std::make_unique<File>(File{read_statistics(path)});
    const Statistics& s = file->statistics;
    const auto refuse = [&](const std::string& why) {
        throw Error(ErrorKind::Usage, path.string() + ": " + why);
    };
    if (s.weights_sha256 != own_.weights_sha256)
        refuse("fitted with other weights: SHA-256 " + s.weights_sha256 + ", this run's are " +
               own_.weights_sha256);
    if (s.net != own_.net) refuse("fitted with the net '" + s.net + "', this run's is '" + own_.net + "'");
    if (s.preprocess != own_.preprocess)
        refuse("fitted with another preprocessing: '" + s.preprocess + "', this run's is '" +
               own_.preprocess + "'");
    if (s.precision != own_.precision)
        refuse("fitted in " + s.precision + ", this run computes in " + own_.precision +
               "; fit again with --precision " + own_.precision);
    if (s.shards != 1)
        refuse("shard " + std::to_string(s.shard) + " of " + std::to_string(s.shards) +
               " of a fit; gradscore merge joins them");
    return *files_.emplace(path, std::move(file)).first->second;
}

const FitState& StatisticsStore::find(const MethodSpec& spec, const std::string& path,
                                      const std::map<std::string, std::string>& wanted,
                                      const std::function<int(const FitState&)>& suits) {
    const auto answers = [&](const FitState& state) {
        return state.method == spec.name && has_options(state, wanted);
    };
    for (const auto& state : made_)
        if (answers(*state)) return *state;
    const std::filesystem::path from = file(path);
    if (from.empty())
        throw Error(ErrorKind::Usage, "method '" + spec.written + "' needs a fit: gradscore fit makes a " +
                                          "statistics file, --stats FILE gives it");
    File& opened = open(from);
    std::vector<const FitState*> all;
    for (const FitState& state : opened.statistics.states)
        if (answers(state)) all.push_back(&state);
    if (all.empty())
        throw Error(ErrorKind::Usage, from.string() + ": no fit of " + described(spec.name, wanted) +
                                          "; it holds " + states_text(opened.statistics));
    const FitState* found = best_of(all, suits);
    if (found == nullptr)
        throw Error(ErrorKind::Usage,
                    from.string() + ": several fits answer '" + spec.written +
                        "'; name the options of one: " +
                        join(all, ", ", [](const FitState* state) { return state_text(*state); }));
    opened.used = true;
    return *found;
}

void StatisticsStore::add(FitState state) {
    made_.push_back(std::make_unique<FitState>(std::move(state)));
}

void StatisticsStore::also_seen(const std::filesystem::path& path, std::vector<ImageDigest> ascending) {
    Statistics searched;
    searched.seen = std::move(ascending);
    files_.insert_or_assign(path, std::make_unique<File>(File{std::move(searched), true}));
}

const std::filesystem::path* StatisticsStore::seen_in(const ImageDigest& digest) const {
    for (const auto& [path, file] : files_)
        if (file->used && file->statistics.saw(digest)) return &path;
    return nullptr;
}

bool StatisticsStore::any_used() const {
    return std::any_of(files_.begin(), files_.end(), [](const auto& file) { return file.second->used; });
}

}  // namespace gs
