#include "tools/cli_values.h"

#include <algorithm>

#include "core/error.h"
#include "nets/architecture.h"
#include "tools/embedded_recipes.h"
#include "tools/reproduce_plan.h"

namespace gs {
namespace {

using Kind = FlagValue::Kind;

std::vector<std::string> net_names() {
    std::vector<std::string> names{"auto"};
    for (const std::string& name : published_names()) names.push_back(name == "wrn-D-K" ? "wrn-40-2" : name);
    return names;
}

std::vector<std::string> recipe_names() {
    std::vector<std::string> names;
    for (const EmbeddedRecipe& recipe : embedded_recipes()) names.emplace_back(recipe.name);
    return names;
}

std::vector<std::string> table_names() {
    std::vector<std::string> names;
    for (const PaperTable& table : built_in_tables()) names.push_back(table.name);
    return names;
}

// Whatever is no number and not named here is taken for a file.
struct Row {
    std::string command;  // empty: every command that has it
    std::string name;     // without dashes
    FlagValue value;
};

const std::vector<Row>& rows() {
    static const std::vector<Row> table = [] {
        std::vector<Row> all;
        for (const char* set : {"id", "ood", "data", "validate", "auxiliary"})
            all.push_back({"", set, {Kind::Set}});
        for (const char* methods : {"methods", "method"}) all.push_back({"", methods, {Kind::Methods}});
        for (const char* text : {"shard", "resize", "crop", "mean", "std", "margin", "p"})
            all.push_back({"", text, {Kind::Free}});
        all.push_back({"", "config", {Kind::File}});
        all.push_back({"", "net", {Kind::Words, net_names()}});
        all.push_back({"", "device", {Kind::Words, {"auto", "cpu", "cuda", "cuda:0"}}});
        all.push_back({"", "precision", {Kind::Words, {"f32", "bf16", "tf32"}}});
        all.push_back({"", "save", {Kind::List, {"logits", "features", "taps", "norms"}}});
        all.push_back({"track", "loss", {Kind::Words, {"ce", "bce", "energy"}}});
        all.push_back({"track", "score", {Kind::Words, {"min", "max", "mean", "pred", "uniform"}}});
        all.push_back({"track", "form", {Kind::Words, {"norm_single", "original_single"}}});
        all.push_back({"track", "layers", {Kind::Words, {"each", "all", "head"}}});
        all.push_back({"track", "params", {Kind::Words, {"weights", "weights+norm", "all"}}});
        all.push_back({"track", "detector", {Kind::Words, {"l2", "l1", "cosine"}}});
        all.push_back({"train", "recipe", {Kind::Words, recipe_names(), true}});
        all.push_back({"reproduce", "table", {Kind::Words, table_names(), true}});
        for (const char* command : {"metrics", "threshold"}) all.push_back({command, "run", {Kind::Folder}});
        all.push_back({"report", "runs", {Kind::Folder}});
        return all;
    }();
    return table;
}

std::string bare_name(const CLI::Option& option) {
    return option.get_lnames().empty() ? option.get_single_name() : option.get_lnames().front();
}

bool is_text(const CLI::Option& option) {
    return option.get_type_name().find("TEXT") != std::string::npos;
}

}  // namespace

FlagValue flag_value(const std::string& command, const CLI::Option& option) {
    if (option.get_expected_max() == 0) return {Kind::Switch};
    const std::string name = bare_name(option);
    for (const Row& row : rows())
        if (row.name == name && (row.command.empty() || row.command == command)) return row.value;
    const bool of_recipe = command == "train" && option.get_group() != "Options" && !option.get_positional();
    return {is_text(option) && !of_recipe ? Kind::File : Kind::Free};
}

void check_flag_values(const CLI::App& app) {
    for (const Row& row : rows()) {
        const auto has = [&](const CLI::App* command) {
            const auto options = command->get_options();
            return (row.command.empty() || row.command == command->get_name()) &&
                   std::any_of(options.begin(), options.end(),
                               [&](const CLI::Option* option) { return bare_name(*option) == row.name; });
        };
        auto commands = visible_commands(app);
        commands.push_back(&app);
        if (std::none_of(commands.begin(), commands.end(), has))
            throw Error(ErrorKind::Internal, "completion: no command has a flag '" + row.name + "'");
    }
}

std::vector<const CLI::App*> visible_commands(const CLI::App& app) {
    return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

std::vector<std::string> flag_names(const CLI::Option& option) {
    std::vector<std::string> names;
    for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option.get_snames()) names.push_back("-" + name);
    return names;
}

}  // namespace gs
