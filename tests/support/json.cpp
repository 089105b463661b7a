#include "tests/support/json.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <ostream>

namespace gs::test {

nlohmann::json parse_json(const std::string& text) {
    return nlohmann::json::parse(text);
}

nlohmann::json read_json(const std::filesystem::path& path) {
    std::ifstream file(path);
    return nlohmann::json::parse(file);
}

}  // namespace gs::test

void nlohmann::PrintTo(const json& value, std::ostream* out) {
    *out << value;
}
