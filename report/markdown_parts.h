// The pieces of our Markdown pages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gs::markdown {

// Text that Markdown and HTML leave alone.
std::string escaped(std::string_view text);

// As code, where backslashes show and only backticks and table bars matter.
std::string code(std::string_view text);

// Rows of cells as an aligned table; all columns but the first `left` are aligned to the right.
using Rows = std::vector<std::vector<std::string>>;
std::string table(const Rows& rows, size_t left);

// A heading and a bullet for each item; nothing where there are none.
std::string list(const std::string& heading, const std::vector<std::string>& items);

}  // namespace gs::markdown
