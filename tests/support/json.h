// JSON in tests. Its parser and its printing are compiled once: they would be half of a test's compile time.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace gs::test {

// Both throw nlohmann's exception where it is none.
nlohmann::json parse_json(const std::string& text);
nlohmann::json read_json(const std::filesystem::path& path);

}  // namespace gs::test

namespace nlohmann {
void PrintTo(const json& value, std::ostream* out);  // GoogleTest finds it
}
