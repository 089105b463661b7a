// A file of flags as `gradscore score --config` reads it.
#pragma once

#include <sstream>
#include <string>

#include "tools/cli_config.h"
#include "tools/cli_flags.h"

namespace gs::test {

// The flags as the run's folder keeps them. Throws Error(Usage) or CLI::ParseError.
inline std::string flags_of(const std::string& config) {
    CLI::App app;
    app.set_config("--config");
    app.allow_config_extras(CLI::config_extras_mode::error);
    ScoreFlags flags;
    CLI::App* score = app.add_subcommand("score");
    add_score(*score, flags);
    app.config_formatter(std::make_shared<TomlConfig>(*score));
    std::istringstream in(config);
    app.parse_from_stream(in);
    return "[score]\n" + TomlConfig(*score).to_config(score, true, false, "");
}

}  // namespace gs::test
