// What is made of the command line's definitions, so that it cannot say anything else than they do:
// completion scripts and the manual page. Hidden commands of `gradscore`; the build runs them
// (tools/CMakeLists.txt).
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace gs {

std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string manual_page(const CLI::App& app);  // troff, man macros, ASCII

// gradscore completion bash|zsh, gradscore manual: in no --help.
void add_generated(CLI::App& app, std::string& shell);
bool generated_parsed(const CLI::App& app);
int run_generated(const CLI::App& app, const std::string& shell);

}  // namespace gs
