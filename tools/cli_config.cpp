#include "tools/cli_config.h"

#include <istream>

#include "core/error.h"
#include "core/toml.h"

namespace gs {
namespace {

bool is_flag(const CLI::Option& option) {
    return option.get_expected_max() == 0;
}

bool is_number(const CLI::Option& option) {
    return option.get_type_name().find("INT") != std::string::npos;  // "INT", "UINT", with a range behind
}

std::string value_of(const CLI::Option& option) {
    const auto scalar = [&](const std::string& text) { return is_number(option) ? text : toml_string(text); };
    if (is_flag(option)) return option.count() > 0 && option.as<bool>() ? "true" : "false";
    if (option.count() == 0) return option.get_default_str().empty() ? "" : scalar(option.get_default_str());
    if (option.get_expected_max() == 1) return scalar(option.reduced_results().front());
    std::string list;
    for (const std::string& item : option.reduced_results())
        list += (list.empty() ? "" : ", ") + scalar(item);
    return "[" + list + "]";
}

// The library reads a line at a time, however long.
std::string read_text(std::istream& in) {
    constexpr size_t kMost = 1 << 20;
    std::string text;
    for (char c; in.get(c); text += c)
        if (text.size() == kMost)
            throw Error(ErrorKind::Usage, "--config: more than " + std::to_string(kMost) + " bytes");
    return text;
}

}  // namespace

std::string TomlConfig::to_config(const CLI::App* app, bool, bool, std::string prefix) const {
    std::string text;
    for (const CLI::Option* option : app->get_options()) {
        if (!option->get_configurable() || option->get_lnames().empty()) continue;
        const std::string value = value_of(*option);
        if (!value.empty()) text += prefix + option->get_lnames().front() + " = " + value + '\n';
    }
    return text;
}

std::vector<CLI::ConfigItem> TomlConfig::from_config(std::istream& in) const {
    const std::string text = read_text(in);
    std::vector<CLI::ConfigItem> found;
    for (const TomlEntry& entry : read_toml(text, "--config")) {
        const auto fail = [&](const std::string& what) {
            throw Error(ErrorKind::Usage,
                        "--config:" + std::to_string(entry.line) + ": '" + entry.key + "' " + what);
        };
        if (entry.table.empty()) fail("stands before [score]");
        if (entry.table != "score") fail("stands in [" + entry.table + "], not in [score]");
        const CLI::Option* option = score_.get_option_no_throw("--" + entry.key);
        if (option == nullptr) fail("is no flag of gradscore score");
        if (!option->get_configurable()) fail("is for the command line only");
        CLI::ConfigItem item;
        item.parents = {entry.table};
        item.name = entry.key;
        item.inputs = entry.values;
        found.push_back(std::move(item));
    }
    return found;
}

}  // namespace gs
