// gradscore.1, in the macros of man(7).
#include <array>
#include <cstdio>
#include <utility>

#include "core/join.h"
#include "data/image_set.h"
#include "scores/score.h"
#include "tools/cli_generated.h"
#include "tools/cli_values.h"
#include "tools/setup.h"

namespace gs {
namespace {

// Code point at text[i], which moves behind it; the text is our own and well-formed.
unsigned next_code_point(const std::string& text, size_t& i) {
    const auto byte = [&] { return static_cast<unsigned char>(text[i++]); };
    const unsigned first = byte();
    if (first < 0x80) return first;
    const int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    unsigned code = first & (0x3fu >> more);
    for (int k = 0; k < more; ++k) code = code << 6 | (byte() & 0x3fu);
    return code;
}

// As text of one line: nothing in it is a request or an escape.
std::string roff(const std::string& text) {
    std::string out;
    for (size_t i = 0; i < text.size();) {
        const unsigned code = next_code_point(text, i);
        char escaped[16];
        if (code >= 0x80) {
            std::snprintf(escaped, sizeof escaped, "\\[u%04X]", code);
            out += escaped;
        } else if (code == '\\') {
            out += "\\e";
        } else if (code == '-') {
            out += "\\-";
        } else if (code == '\'' || code == '^' || code == '~' || code == '`') {
            constexpr auto kName = [](unsigned c) {
                return c == '\'' ? "aq" : c == '^' ? "ha" : c == '~' ? "ti" : "ga";
            };
            out += std::string("\\(") + kName(code);
        } else {
            out += code == '\n' ? ' ' : static_cast<char>(code);
        }
    }
    return out.starts_with('.') ? "\\&" + out : out;
}

std::string bold(const std::string& text) {
    return "\\fB" + roff(text) + "\\fR";
}

// "VALUE", or for what is told by its place its own name.
std::string value_text(const std::string& command, const CLI::Option& option) {
    switch (flag_value(command, option).kind) {
        case FlagValue::Kind::Switch:
            return {};
        case FlagValue::Kind::File:
            return "FILE";
        case FlagValue::Kind::Folder:
            return "DIR";
        case FlagValue::Kind::List:
        case FlagValue::Kind::Methods:
            return "LIST";
        case FlagValue::Kind::Set:
            return "NAME=KIND:PATH";
        case FlagValue::Kind::Words:
        case FlagValue::Kind::Free:
            break;
    }
    const std::string type = split(option.get_type_name(), ':').front();  // behind it: "INT in [0 - 9]"
    return type == "TEXT" || type.empty() ? "VALUE" : type;
}

std::string option_text(const std::string& command, const CLI::Option& option) {
    const std::string value = value_text(command, option);
    std::string text = ".TP\n";
    if (option.get_positional()) {
        text += "\\fI" + roff(option.get_single_name()) + "\\fR";
    } else {
        text += join(flag_names(option), ", ", bold);
        if (!value.empty()) text += " \\fI" + roff(value) + "\\fR";
    }
    text += "\n" + roff(option.get_description());
    if (option.get_required()) text += " (required)";
    if (!option.get_default_str().empty()) text += " [" + roff(option.get_default_str()) + "]";
    return text + "\n";
}

std::string options_text(const std::string& command, const CLI::App& app) {
    std::string text;
    for (const CLI::Option* option : app.get_options())
        if (option->get_positional() || option != app.get_help_ptr()) text += option_text(command, *option);
    return text;
}

std::string synopsis(const CLI::App& command) {
    std::string text = bold("gradscore " + command.get_name());
    for (const CLI::Option* option : command.get_options())
        if (option->get_positional())
            text += std::string(" \\fI") + roff(option->get_single_name()) + "\\fR" +
                    (option->get_expected_max() > 1 ? " \\&..." : "");
    return text + " [\\fIOPTIONS\\fR]";
}

std::string methods_text() {
    std::string text;
    for (const MethodDescription& method : method_descriptions()) {
        text += ".TP\n" + bold(method.name) + "\n" + roff(method.summary) +
                ". Source: " + roff(method.source) + ". Needs " + roff(method.needs) + ".\n";
        for (const auto& [key, meaning] : method.options)
            text += ".RS\n.TP\n" + bold(key) + "\n" + roff(meaning) + "\n.RE\n";
    }
    return text;
}

// As in docs/file-formats.md; core/error.h has the numbers.
constexpr std::array<std::pair<const char*, const char*>, 9> kExitCodes{{
    {"0", "done"},
    {"1", "internal failure, or the machine's (disk full)"},
    {"2", "wrong usage"},
    {"3", "weights that cannot be used"},
    {"4", "images, lists or sets that cannot be used"},
    {"5", "no such device, or out of memory"},
    {"6", "done, but some images were left out (reproduce: or not the whole table was compared)"},
    {"7", "reproduce: figures out of tolerance"},
    {"130", "interrupted"},
}};

constexpr std::array<std::pair<const char*, const char*>, 4> kEnvironment{{
    {"XDG_CACHE_HOME", "folder of gradscore/convolutions.tsv, what was measured on GPUs (else ~/.cache)"},
    {"NO_COLOR", "any value: progress without colour"},
    {"GRADSCORE_ISA", "baseline, avx2 or avx512: kernels of this instruction set instead of the best"},
    {"OMP_WAIT_POLICY, GOMP_SPINCOUNT",
     "how threads wait for each other; where neither is set the command sets GOMP_SPINCOUNT=4000"},
}};

template <class Pairs>
std::string list(const Pairs& pairs) {
    std::string text;
    for (const auto& [name, meaning] : pairs) text += ".TP\n" + bold(name) + "\n" + roff(meaning) + "\n";
    return text;
}

}  // namespace

std::string manual_page(const CLI::App& app) {
    std::string text = ".\\\" Made by gradscore manual.\n.TH GRADSCORE 1 \"\" \"gradscore " + version() +
                       "\" \"User Commands\"\n.SH NAME\ngradscore \\- " + roff(app.get_description()) +
                       "\n.SH SYNOPSIS\n";
    const auto commands = visible_commands(app);
    for (const CLI::App* command : commands) text += synopsis(*command) + "\n.br\n";
    text +=
        bold("gradscore --list-methods") +
        "\n.SH DESCRIPTION\nReads weights of image classifiers and gives scores of images, of which higher "
        "always means more in\\-distribution, and detection metrics over sets of images. Flags of a command "
        "stand behind it.\n" +
        options_text("", app) + ".SH COMMANDS\n";
    for (const CLI::App* command : commands)
        text += ".SS " + roff(command->get_name()) + "\n" + roff(command->get_description()) + ".\n" +
                options_text(command->get_name(), *command);
    return text + ".SH SETS OF IMAGES\nWritten " + bold("NAME=KIND:PATH") +
           "; the name may be left out. Kinds: " + join(image_set_kinds(), ", ", bold) +
           ".\n.SH METHODS\nWritten " + bold("METHOD:OPTION=VALUE:...,METHOD...") + ".\n" + methods_text() +
           ".SH EXIT STATUS\n" + list(kExitCodes) + ".SH ENVIRONMENT\n" + list(kEnvironment);
}

}  // namespace gs
