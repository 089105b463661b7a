// The commands of gradscore: what a command line asks for, with its flags.
#pragma once

namespace gs {

// The exit code. Throws Error(Usage) for wrong flags, in one line that says where help is, and what the
// commands throw.
int run_command_line(int argc, char** argv);

}  // namespace gs
