#include "report/json_node.h"

#include <limits>
#include <set>

#include "core/printable.h"

namespace gs {
namespace {

constexpr int kMostNesting = 64;
constexpr size_t kMostKeys = 10'000;

// The parser's callback. ordered_json keeps a key's second value without a word, which would make a file mean
// something else than what its reader sees; and it searches linearly for keys, so that their number is
// limited.
class Check {
  public:
    bool operator()(int depth, nlohmann::ordered_json::parse_event_t event,
                    const nlohmann::ordered_json& value) {
        using Event = nlohmann::ordered_json::parse_event_t;
        if (depth > kMostNesting) fail("nests deeper than " + std::to_string(kMostNesting) + " levels");
        if (event == Event::object_start) open_.emplace_back();
        if (event == Event::object_end) open_.pop_back();
        if (event != Event::key) return true;
        if (!open_.back().insert(value.get<std::string>()).second)
            fail("'" + printable(value.get<std::string>()) + "' stands twice");
        if (open_.back().size() > kMostKeys)
            fail("an object of more than " + std::to_string(kMostKeys) + " members");
        return true;
    }

  private:
    std::vector<std::set<std::string>> open_;

    [[noreturn]] static void fail(const std::string& what) { throw Error(ErrorKind::Data, what); }
};

}  // namespace

JsonDocument::JsonDocument(std::string_view text, const std::string& name, const std::string& advice)
    : file_{name, advice} {
    try {
        Check check;
        json_ = JsonNode::Json::parse(text.begin(), text.end(), std::ref(check));
    } catch (const nlohmann::json::exception& e) {
        throw Error(ErrorKind::Data, name + ": not JSON: " + printable(e.what(), 200));
    } catch (const Error& e) {
        throw Error(ErrorKind::Data, name + ": " + e.what() + "; " + advice);
    }
}

void JsonNode::fail(const std::string& what) const {
    throw Error(ErrorKind::Data, file_->name + ": " + (place_.empty() ? "" : printable(place_) + " ") + what +
                                     "; " + file_->advice);
}

bool JsonNode::has(const std::string& key) const {
    if (!json_->is_object()) fail("is not an object");
    return json_->contains(key);
}

JsonNode JsonNode::operator[](const std::string& key) const {
    const std::string place = place_.empty() ? key : place_ + "." + key;
    if (!has(key)) JsonNode(*json_, *file_, place).fail("is missing");
    return {*json_->find(key), *file_, place};
}

std::vector<JsonNode> JsonNode::items() const {
    if (!json_->is_array()) fail("is not a list");
    std::vector<JsonNode> nodes;
    for (size_t k = 0; k < json_->size(); ++k)
        nodes.push_back({(*json_)[k], *file_, place_ + "[" + std::to_string(k) + "]"});
    return nodes;
}

std::vector<std::string> JsonNode::keys() const {
    if (!json_->is_object()) fail("is not an object");
    std::vector<std::string> names;
    for (const auto& item : json_->items()) names.push_back(item.key());
    return names;
}

bool JsonNode::boolean() const {
    if (!json_->is_boolean()) fail("is neither true nor false");
    return json_->get<bool>();
}

std::string JsonNode::text() const {
    if (!json_->is_string()) fail("is not a text");
    return json_->get<std::string>();
}

uint64_t JsonNode::natural() const {
    if (!json_->is_number_unsigned()) fail("is not a whole number from 0");
    return json_->get<uint64_t>();
}

int64_t JsonNode::count() const {
    const uint64_t value = natural();
    if (value > uint64_t(std::numeric_limits<int64_t>::max())) fail("is too large");
    return int64_t(value);
}

double JsonNode::number() const {
    if (json_->is_null()) return std::numeric_limits<double>::quiet_NaN();
    if (!json_->is_number()) fail("is not a number");
    return json_->get<double>();
}

double JsonNode::fraction() const {
    const double value = number();
    if (value < 0 || value > 1) fail("is not between 0 and 1");
    return value;
}

std::map<std::string, std::string> JsonNode::texts() const {
    std::map<std::string, std::string> map;
    for (const std::string& key : keys()) map.emplace(key, (*this)[key].text());
    return map;
}

}  // namespace gs
