// zsh's completion: _arguments with one specification a flag.
#include "core/join.h"
#include "data/image_set.h"
#include "scores/score.h"
#include "tools/cli_generated.h"
#include "tools/cli_values.h"
#include "tools/setup.h"

namespace gs {
namespace {

using Kind = FlagValue::Kind;

constexpr const char* kHelpers = R"zsh(
_gradscore_set() {  # [NAME=]KIND:PATH
    if [[ $PREFIX == *:* ]]; then
        compset -P '*[:=]'
        _files
    else
        compset -P '*='
        compadd -S '' -- $gradscore_kinds
    fi
}
_gradscore_methods() {  # METHOD:OPTION=VALUE,…
    compset -P '*,'
    if [[ $PREFIX == *:* ]]; then
        local method=${PREFIX%%:*}
        compset -P '*:'
        compadd -S '=' -- ${=gradscore_options[$method]}
    else
        compadd -q -S '' -- ${(k)gradscore_options}
    fi
}
)zsh";

// Inside single quotes; brackets and colons mean something to _arguments.
std::string quoted(const std::string& text, std::string_view special = "[]:\\") {
    std::string out;
    for (const char c : text) {
        if (special.find(c) != special.npos) out += '\\';
        out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return out;
}

std::string action(const FlagValue& value) {
    switch (value.kind) {
        case Kind::Switch:
        case Kind::Free:
            return " ";
        case Kind::File:
            return "_files";
        case Kind::Folder:
            return "_files -/";
        case Kind::Words:
            return value.or_file ? "{compadd -- " + join(value.words, " ") + "; _files}"
                                 : "(" + join(value.words, " ") + ")";
        case Kind::List:
            return "_sequence compadd - " + join(value.words, " ");
        case Kind::Methods:
            return "_gradscore_methods";
        case Kind::Set:
            break;
    }
    return "_gradscore_set";
}

std::string place_spec(const std::string& command, const CLI::Option& option, int place) {
    const std::string number = option.get_expected_max() > 1 ? "*" : std::to_string(place);
    return "'" + number + ":" + quoted(option.get_single_name()) + ":" + action(flag_value(command, option)) +
           "'";
}

std::string flag_spec(const std::string& command, const CLI::Option& option, const std::string& name) {
    const FlagValue value = flag_value(command, option);
    const bool is_switch = value.kind == Kind::Switch;
    return std::string("'") + (option.get_expected_max() > 1 ? "*" : "") + name +
           (!is_switch && name.starts_with("--") ? "=" : "") + "[" + quoted(option.get_description()) + "]" +
           (is_switch ? "" : ":" + quoted(option.get_single_name()) + ":" + action(value)) + "'";
}

std::string specs(const std::string& command, const CLI::App& app) {
    std::string text;
    int place = 0;
    for (const CLI::Option* option : app.get_options()) {
        if (option->get_positional()) text += " \\\n            " + place_spec(command, *option, ++place);
        for (const std::string& name : flag_names(*option))
            text += " \\\n            " + flag_spec(command, *option, name);
    }
    return text;
}

std::string method_options() {
    std::string text;
    for (const MethodDescription& method : method_descriptions())
        text += "        " + method.name + " '" +
                join(method.options, " ", [](const auto& option) { return option.first; }) + "'\n";
    return text;
}

}  // namespace

std::string zsh_completion(const CLI::App& app) {
    std::string commands, cases;
    for (const CLI::App* command : visible_commands(app)) {
        const std::string& name = command->get_name();
        commands += "        '" + name + ":" + quoted(command->get_description(), ":\\") + "'\n";
        cases += "        " + name + ") _arguments" + specs(name, *command) +
                 (command->get_fallthrough() ? specs(name, app) : "") + " ;;\n";
    }
    return "#compdef gradscore\n# zsh completion of gradscore " + version() + ": gradscore completion zsh\n" +
           kHelpers + "_gradscore() {\n    local curcontext=\"$curcontext\" state\n" +
           "    local -a gradscore_commands gradscore_kinds line\n    local -A gradscore_options opt_args\n"
           "    gradscore_kinds=(" +
           join(image_set_kinds(), " ", [](const std::string& kind) { return kind + ":"; }) +
           ")\n    gradscore_options=(\n" + method_options() + "    )\n    gradscore_commands=(\n" +
           commands + "    )\n    _arguments -C" + specs("", app) +
           " \\\n            '1: :->command' '*:: :->rest'\n"
           "    case $state in\n    command) _describe command gradscore_commands ;;\n    rest)\n"
           "        curcontext=\"${curcontext%:*}-$words[1]:\"\n        case $words[1] in\n" +
           cases +
           "        esac ;;\n    esac\n}\n[[ $funcstack[1] == _gradscore ]] && _gradscore \"$@\" || compdef "
           "_gradscore gradscore\n";
}

}  // namespace gs
