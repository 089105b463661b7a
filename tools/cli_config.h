// How the command line's library reads and writes a file of flags.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace gs {

class TomlConfig : public CLI::Config {
  public:
    explicit TomlConfig(const CLI::App& score) : score_(score) {}
    // Every flag of `app` that a configuration may hold, with its value, but for those left empty.
    std::string to_config(const CLI::App* app, bool default_also, bool write_description,
                          std::string prefix) const override;
    // Table [score]. Throws Error(Usage) with the line for bad syntax and for what is no flag of `score`.
    std::vector<CLI::ConfigItem> from_config(std::istream& in) const override;

  private:
    const CLI::App& score_;
};

}  // namespace gs
