// The recipes of `gradscore train` (recipes/*.toml), in the binary: an installed gradscore needs no folder to
// find them.
#pragma once

#include <span>
#include <string_view>

namespace gs {

struct EmbeddedRecipe {
    std::string_view name, text;
    // The comment that the file begins with, without its #, on one line.
    std::string about() const;
};
std::span<const EmbeddedRecipe> embedded_recipes();  // sorted by name

}  // namespace gs
