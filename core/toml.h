// Files of flags (config.toml of a run, --config of the next) and recipes. A plain subset of TOML: tables,
// and keys with a string, number, boolean or an array of those. Anything else is an error with its line,
// never a guess.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gs {

struct TomlEntry {
    std::string table, key;  // [table]; empty before the first one
    std::vector<std::string> values;
    bool array = false;
    int line = 0;
};

// Throws Error(Usage) "NAME:LINE: what is wrong" for bad syntax and for a key given twice.
std::vector<TomlEntry> read_toml(std::string_view text, const std::string& name);

// A string as a TOML value that read_toml gives back byte for byte.
std::string toml_string(std::string_view text);

}  // namespace gs
