#include "weights/torch_state.h"

#include <algorithm>
#include <array>
#include <set>

#include "core/ascii.h"
#include "core/printable.h"
#include "weights/torch_tensor.h"

namespace gs::weights {
namespace {

using pickle::Value;
using Items = std::vector<std::pair<const Value*, const Value*>>;

// Keys under which training scripts put the weights; where two hold equally many, the earlier is taken: a
// moving average comes last.
constexpr std::array<std::string_view, 17> kWrappers = {
    "state_dict", "model_state_dict", "model_state", "model",          "net",      "net_state_dict",
    "network",    "weights",          "params",      "module",         "backbone", "classifier",
    "encoder",    "model_ema",        "ema_model",   "state_dict_ema", "ema"};
constexpr int kMostWrappers = 4;

// dict, OrderedDict, defaultdict; Python 2 gives OrderedDict its items as a list of pairs.
std::optional<Items> items_of(const Value& value) {
    if (const auto* dict = value.as<pickle::Dict>()) return dict->items;
    const auto* call = value.as<pickle::Call>();
    if (call == nullptr ||
        (call->callee != "collections.OrderedDict" && call->callee != "collections.defaultdict"))
        return std::nullopt;
    Items items;
    const auto& arguments = call->arguments->as<pickle::List>()->items;
    if (call->callee == "collections.OrderedDict" && arguments.size() == 1) {
        const auto* pairs = arguments[0]->as<pickle::List>();
        if (pairs == nullptr) return std::nullopt;
        for (const Value* pair : pairs->items) {
            const auto* two = pair->as<pickle::List>();
            if (two == nullptr || two->items.size() != 2) return std::nullopt;
            items.emplace_back(two->items[0], two->items[1]);
        }
    }
    items.insert(items.end(), call->set.items.begin(), call->set.items.end());
    return items;
}

struct Candidate {
    std::string path;  // "" for the top level, "state_dict", "model.net"
    Items items;
    size_t tensors = 0;
    size_t weights = 0;  // tensors but for single numbers: an average's count of steps makes it no larger
};

// Dicts of tensors at the top and under wrapper keys. A dict is looked into once, however often it is shared.
class Search {
  public:
    explicit Search(size_t values) : seen_(values, false) {}

    void look(const Value& value, const std::string& path, int depth) {
        if (seen_[value.index]) return;
        seen_[value.index] = true;
        std::optional<Items> items = items_of(value);
        if (!items) return;
        Candidate candidate{path, {}};
        std::array<const Value*, kWrappers.size()> wrapped{};
        for (const auto& [key, inner] : *items) {
            const auto name = pickle::text(*key);
            if (name && is_tensor(*inner)) {
                ++candidate.tensors;
                if (!is_scalar(*inner)) ++candidate.weights;
            }
            const auto wrapper = std::find(kWrappers.begin(), kWrappers.end(), name.value_or(""));
            if (wrapper != kWrappers.end()) wrapped[static_cast<size_t>(wrapper - kWrappers.begin())] = inner;
        }
        candidate.items = std::move(*items);
        found_.push_back(std::move(candidate));
        if (depth == kMostWrappers) return;
        for (size_t i = 0; i < wrapped.size(); ++i)
            if (wrapped[i] != nullptr)
                look(*wrapped[i], (path.empty() ? "" : path + ".") + std::string(kWrappers[i]), depth + 1);
    }

    // Of the entries at the top under keys of no meaning, {'best_model': …}: taken where nothing else is.
    void look_at_others(const Value& value) {
        const std::optional<Items> items = items_of(value);
        if (!items) return;
        for (const auto& [key, inner] : *items) {
            const auto name = pickle::text(*key);
            if (!name || seen_[inner->index]) continue;
            const std::string lower = ascii_lower(std::string(*name));
            if (lower.find("optim") == lower.npos && lower.find("sched") == lower.npos)
                look(*inner, printable(*name, 60), kMostWrappers);
        }
    }
    const Candidate* best() const {
        const auto most =
            std::max_element(found_.begin(), found_.end(), [](const Candidate& a, const Candidate& b) {
                // The first of equals.
                return std::pair(a.weights, a.weights == 0 ? a.tensors : 0) <
                       std::pair(b.weights, b.weights == 0 ? b.tensors : 0);
            });
        return most == found_.end() || most->tensors == 0 ? nullptr : &*most;
    }
    const std::vector<Candidate>& found() const { return found_; }
    // Of the dicts that could be a net's weights.
    std::vector<std::string> paths() const {
        std::vector<std::string> paths;
        for (const Candidate& candidate : found_)
            if (candidate.weights > 0) paths.push_back(candidate.path);
        return paths;
    }

  private:
    std::vector<bool> seen_;
    std::vector<Candidate> found_;
};

std::vector<std::string> keys_of(const Items& items) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : items) keys.emplace_back(pickle::text(*key).value_or("(no text)"));
    return keys;
}

[[noreturn]] void fail_without_tensors(const Input& input, const Value& top) {
    if (is_tensor(top)) input.fail("holds a single tensor without a name; save a state_dict()");
    const auto items = items_of(top);
    if (!items) input.fail("holds no dict of tensors; save model.state_dict()");
    if (items->empty()) input.fail("holds an empty dict; save model.state_dict()");
    input.fail("no dict of tensors found (its keys: " + name_list(keys_of(*items)) +
               "); save model.state_dict(), alone or as 'state_dict'");
}

void add_notices(const Search& search, const Candidate& best, std::vector<std::string> left_out,
                 WeightFile& file) {
    std::set<std::string_view> looked_into;
    for (const Candidate& candidate : search.found()) looked_into.insert(candidate.path);
    if (!best.path.empty()) {
        file.notices.push_back("weights taken from '" + best.path + "'");
        for (std::string& key : keys_of(search.found().front().items))
            if (!looked_into.contains(key)) left_out.push_back(std::move(key));
    }
    if (!left_out.empty()) file.notices.push_back("left out (no weights): " + name_list(left_out));
    for (const Candidate& other : search.found())
        if (&other != &best && other.weights > 0 && !other.path.empty())
            file.notices.push_back("'" + other.path + "' holds " + std::to_string(other.tensors) +
                                   " tensors and was not read");
}

}  // namespace

void read_state(const Input& input, const pickle::Parsed& parsed, const StorageBytes& storage,
                WeightFile& file) {
    Search search(parsed.values.size());
    search.look(*parsed.value, "", 0);
    if (search.paths().empty()) {
        search.look_at_others(*parsed.value);
        if (const std::vector<std::string> paths = search.paths(); paths.size() > 1)
            input.fail("holds several dicts of tensors (" + name_list(paths) +
                       "), and which is the net is not told; save model.state_dict(), alone or as "
                       "'state_dict'");
    }
    const Candidate* best = search.best();
    if (best == nullptr) fail_without_tensors(input, *parsed.value);
    if (best->tensors > input.limits.max_tensors)
        input.fail(std::to_string(best->tensors) + " tensors, more than the limit of " +
                   std::to_string(input.limits.max_tensors));
    std::vector<std::string> left_out;
    for (const auto& [key, value] : best->items) {
        const auto name = pickle::text(*key);
        if (name && is_tensor(*value))
            file.tensors.push_back(read_tensor(input, std::string(*name), *value, storage));
        else
            left_out.emplace_back(name.value_or("(no text)"));
    }
    add_notices(search, *best, std::move(left_out), file);
}

}  // namespace gs::weights
