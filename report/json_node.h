// Reading JSON that somebody else wrote: every value knows its place, so that every complaint names it.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace gs {

// A value of a JsonDocument, which must outlive it. What is asked for and is not there, or is of another
// type, throws Error(Data): "FILE: sets[2].name is not a text; ADVICE".
class JsonNode {
  public:
    [[noreturn]] void fail(const std::string& what) const;
    JsonNode operator[](const std::string& key) const;
    bool has(const std::string& key) const;
    std::vector<JsonNode> items() const;
    std::vector<std::string> keys() const;  // in the file's order
    bool is_null() const { return json_->is_null(); }
    bool is_text() const { return json_->is_string(); }
    bool boolean() const;
    std::string text() const;
    uint64_t natural() const;
    int64_t count() const;
    double number() const;    // null is NaN
    double fraction() const;  // null is NaN; otherwise from 0 to 1
    std::map<std::string, std::string> texts() const;
    const std::string& place() const { return place_; }

  private:
    friend class JsonDocument;
    using Json = nlohmann::ordered_json;
    struct File {
        std::string name, advice;
    };
    JsonNode(const Json& json, const File& file, std::string place)
        : json_(&json), file_(&file), place_(std::move(place)) {}

    const Json* json_;
    const File* file_;
    std::string place_;
};

class JsonDocument {
  public:
    // Throws Error(Data) for what is no JSON, has a key twice in an object or more than 10,000, or nests
    // deeper than 64 levels. `advice` ends every complaint.
    JsonDocument(std::string_view text, const std::string& name, const std::string& advice);
    JsonDocument(const JsonDocument&) = delete;
    JsonDocument& operator=(const JsonDocument&) = delete;
    JsonNode root() const { return {json_, file_, ""}; }

  private:
    JsonNode::File file_;
    JsonNode::Json json_;
};

}  // namespace gs
