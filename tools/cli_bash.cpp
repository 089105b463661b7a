// bash's completion: one function, which takes the words apart itself, for bash breaks words at the colons
// and equal signs that sets and methods are written with.
#include "core/join.h"
#include "data/image_set.h"
#include "scores/score.h"
#include "tools/cli_generated.h"
#include "tools/cli_values.h"
#include "tools/setup.h"

namespace gs {
namespace {

using Kind = FlagValue::Kind;

// Helpers of the script. Each fills COMPREPLY with words that would stand in place of $cur.
constexpr const char* kHelpers = R"bash(
_gradscore_words() {  # WORDS
    COMPREPLY+=($(compgen -W "$1" -- "$cur"))
}
_gradscore_files() {  # -f or -d
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY+=($(compgen "$1" -- "$cur"))
}
_gradscore_list() {  # WORDS: with commas between
    compopt -o nospace 2>/dev/null
    COMPREPLY=($(compgen -P "${cur%"${cur##*,}"}" -W "$1" -- "${cur##*,}"))
}
_gradscore_set() {  # [NAME=]KIND:PATH
    local before after=${cur##*[:=]} IFS=$'\n'
    before=${cur%"$after"}
    if [[ $cur == *:* ]]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$after"))
        COMPREPLY=("${COMPREPLY[@]/#/$before}")
    else
        compopt -o nospace 2>/dev/null
        IFS=$' \n'
        COMPREPLY=($(compgen -P "$before" -W "$gradscore_kinds" -- "$after"))
    fi
}
_gradscore_methods() {  # METHOD:OPTION=VALUE,…
    local method=${cur##*,} before options
    if [[ $method != *:* ]]; then
        _gradscore_list "$gradscore_methods"
        return
    fi
    compopt -o nospace 2>/dev/null
    before=${cur%"${cur##*:}"}
    options=$(_gradscore_method_options "${method%%:*}")
    COMPREPLY=($(compgen -P "$before" -W "$options" -- "${method##*:}"))
}
)bash";

constexpr const char* kMain =
    R"bash(    local line=${COMP_LINE:0:COMP_POINT} cur flag= command= before= left word
    local -a words
    read -a words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    local last=$((${#words[@]} - 1))
    local whole=${words[last]}
    cur=$whole
    for word in "${words[@]:1:last-1}"; do
        if [[ " $gradscore_commands " == *" $word "* ]]; then command=$word; break; fi
    done
    if [[ $cur == --*=* ]]; then
        flag=${cur%%=*} before=$flag= cur=${cur#*=}
    elif ((last > 1)); then
        flag=${words[last - 1]}
    fi
    COMPREPLY=()
    _gradscore_value || _gradscore_place
    # Readline puts a reply behind the last colon or equal sign, where it breaks words.
    left=$whole
    while [[ -n $left && ! (${left: -1} == [:=] && $COMP_WORDBREAKS == *"${left: -1}"*) ]]; do left=${left%?}; done
    COMPREPLY=("${COMPREPLY[@]/#/$before}")
    COMPREPLY=("${COMPREPLY[@]#"$left"}")
}
complete -F _gradscore gradscore
)bash";

std::string call(const FlagValue& value) {
    switch (value.kind) {
        case Kind::Switch:
        case Kind::Free:
            return ":";
        case Kind::File:
            return "_gradscore_files -f";
        case Kind::Folder:
            return "_gradscore_files -d";
        case Kind::Words:
            return "_gradscore_words '" + join(value.words, " ") + "'" +
                   (value.or_file ? "; _gradscore_files -f" : "");
        case Kind::List:
            return "_gradscore_list '" + join(value.words, " ") + "'";
        case Kind::Methods:
            return "_gradscore_methods";
        case Kind::Set:
            break;
    }
    return "_gradscore_set";
}

// One line of a case: every flag of a command that takes a value.
std::string value_cases(const std::string& command, const CLI::App& app) {
    std::string text;
    for (const CLI::Option* option : app.get_options()) {
        const FlagValue value = flag_value(command, *option);
        if (option->get_positional() || value.kind == Kind::Switch) continue;
        const auto pattern = [&](const std::string& name) { return command + ":" + name; };
        text += "        " + join(flag_names(*option), "|", pattern) + ") " + call(value) + " ;;\n";
    }
    return text;
}

std::string switches(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options())
        for (const std::string& name : flag_names(*option)) names.push_back(name);
    return join(names, " ");
}

// What a word that is no flag may be: the first thing told by its place decides.
std::string place_case(const std::string& command, const CLI::App& app) {
    for (const CLI::Option* option : app.get_options())
        if (option->get_positional()) return call(flag_value(command, *option));
    return ":";
}

}  // namespace

std::string bash_completion(const CLI::App& app) {
    const auto commands = visible_commands(app);
    const auto name = [](const CLI::App* command) { return command->get_name(); };
    std::string values = value_cases("", app), places;
    places += "        :-*) _gradscore_words '" + switches(app) + "' ;;\n        :*) _gradscore_words \"" +
              "$gradscore_commands\" ;;\n";
    for (const CLI::App* command : commands) {
        // `fallthrough`: flags of the program itself may stand behind the command, too.
        const std::string outer = command->get_fallthrough() ? " " + switches(app) : "";
        values += value_cases(command->get_name(), *command);
        if (!outer.empty()) values += value_cases(command->get_name(), app);
        places += "        " + command->get_name() + ":-*) _gradscore_words '" + switches(*command) + outer +
                  "' ;;\n        " + command->get_name() + ":*) " +
                  place_case(command->get_name(), *command) + " ;;\n";
    }
    std::string options;
    for (const MethodDescription& method : method_descriptions())
        options += "        " + method.name + ") echo '" +
                   join(method.options, " ", [](const auto& option) { return option.first + "="; }) +
                   "' ;;\n";
    return "# bash completion of gradscore " + version() + ": gradscore completion bash\n" +
           "_gradscore_method_options() {\n    case $1 in\n" + options + "    esac\n}" + kHelpers +
           "_gradscore_value() {  # of $flag; fails where it takes none\n    case $command:$flag in\n" +
           values +
           "        *) return 1 ;;\n    esac\n}\n"
           "_gradscore_place() {  # flags, commands, and what is told by its place\n"
           "    case $command:$cur in\n" +
           places + "    esac\n}\n_gradscore() {\n    local gradscore_commands='" +
           join(commands, " ", name) + "'\n    local gradscore_kinds='" +
           join(image_set_kinds(), " ", [](const std::string& kind) { return kind + ":"; }) +
           "'\n    local gradscore_methods='" + join(method_descriptions(), " ", &MethodDescription::name) +
           "'\n" + kMain;
}

}  // namespace gs
