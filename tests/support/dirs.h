// Where the sources, the build and the program under test are. Included in front of every test by the build;
// the paths stand in one generated file, so that a test's object code does not depend on where the checkout
// lies.
#pragma once

namespace gs::test {

const char* source_dir();
const char* binary_dir();
const char* command_path();    // the gradscore program
const char* faults_library();  // tests/faults/faults.cpp, or "" where it cannot be preloaded

}  // namespace gs::test

#define GS_SOURCE_DIR (::gs::test::source_dir())
#define GS_BINARY_DIR (::gs::test::binary_dir())
#define GS_COMMAND (::gs::test::command_path())
