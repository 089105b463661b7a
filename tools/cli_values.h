// What may stand behind a flag: what completion offers for it. Names of methods, nets, recipes … come from
// where they are defined; which flag takes what is a table here that must know every flag it names (a build
// that generates the completions fails otherwise).
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace gs {

struct FlagValue {
    enum class Kind : uint8_t {
        Switch,   // none: a flag that is on or off
        Free,     // a number, or a text nobody can guess
        File,     // a file or a folder
        Folder,   // a folder
        Words,    // one of `words`
        List,     // some of `words`, with commas between
        Methods,  // METHOD:OPTION=VALUE, with commas between
        Set,      // NAME=KIND:PATH
    };
    Kind kind = Kind::Free;
    std::vector<std::string> words{};
    bool or_file = false;  // one of `words`, or a file
};

// Of an option of `command` (its name; empty: the program itself).
FlagValue flag_value(const std::string& command, const CLI::Option& option);

// Throws Error(Internal) where the table names a flag that no command of `app` has.
void check_flag_values(const CLI::App& app);

// The commands that --help lists, in its order.
std::vector<const CLI::App*> visible_commands(const CLI::App& app);
// "--weights", "-h": as typed; empty for what is told by its place.
std::vector<std::string> flag_names(const CLI::Option& option);

}  // namespace gs
