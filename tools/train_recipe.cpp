// Which recipe a `gradscore train` means: a built-in one or a file, and the fields given on the command line.
#include <filesystem>
#include <iostream>

#include "core/files.h"
#include "core/join.h"
#include "scores/group_head.h"
#include "tools/embedded_recipes.h"
#include "tools/train_flags.h"

namespace gs {
namespace {

train::Recipe named_recipe(const std::string& name) {
    for (const EmbeddedRecipe& recipe : embedded_recipes())
        if (recipe.name == name) return train::read_recipe(recipe.text, name + ".toml");
    if (std::error_code error; !std::filesystem::exists(name, error))
        throw Error(ErrorKind::Usage, "recipe '" + name + "': neither a file nor one of " +
                                          join(embedded_recipes(), ", ", &EmbeddedRecipe::name));
    constexpr size_t kMost = size_t{1} << 20;
    const std::vector<std::byte> bytes = read_file(name, ErrorKind::Usage, kMost);
    return train::read_recipe({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name);
}

// --groups 398+521+… or a file of them, as the method mos takes it.
std::vector<std::string> groups_of(const std::vector<std::string>& values) {
    if (values.size() != 1) return values;
    std::vector<std::string> sizes;
    for (const int64_t size : read_group_head(values.front()).sizes) sizes.push_back(std::to_string(size));
    return sizes;
}

}  // namespace

std::string EmbeddedRecipe::about() const {
    std::string line;
    for (std::string_view rest = text; rest.starts_with("# ");) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        line += (line.empty() ? "" : " ") + std::string(rest.substr(2, end - 2));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return line;
}

train::Recipe read_recipe(const TrainFlags& flags) {
    if (flags.recipe.empty())
        throw Error(ErrorKind::Usage, "a recipe is required; --list-recipes names them");
    train::Recipe recipe = named_recipe(flags.recipe);
    for (const auto& [key, values] : flags.fields)
        train::set_field(recipe, key, key == "groups" ? groups_of(values) : values, "--" + key);
    for (const auto& [key, values] : flags.fields) train::require_read(recipe, key, "--" + key);
    train::check_recipe(recipe);
    return recipe;
}

int run_list_recipes() {
    for (const EmbeddedRecipe& recipe : embedded_recipes())
        std::cout << recipe.name << "\n    " << recipe.about() << '\n';
    return 0;
}

}  // namespace gs
