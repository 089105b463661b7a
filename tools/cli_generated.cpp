#include "tools/cli_generated.h"

#include <iostream>

#include "tools/cli_values.h"

namespace gs {

void add_generated(CLI::App& app, std::string& shell) {
    CLI::App* completion = app.add_subcommand("completion", "completion script on stdout")->group("");
    completion->add_option("shell", shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
    completion->configurable(false);
    app.add_subcommand("manual", "manual page on stdout")->group("")->configurable(false);
}

bool generated_parsed(const CLI::App& app) {
    return app.got_subcommand("completion") || app.got_subcommand("manual");
}

int run_generated(const CLI::App& app, const std::string& shell) {
    check_flag_values(app);
    std::cout << (app.got_subcommand("manual") ? manual_page(app)
                  : shell == "zsh"             ? zsh_completion(app)
                                               : bash_completion(app));
    return 0;
}

}  // namespace gs
