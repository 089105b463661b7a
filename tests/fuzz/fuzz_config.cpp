// Any text as a file of flags: refused, or what the run's folder keeps of it says the same again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "tests/fuzz/config_file.h"
#include "tools/cli_flags.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    std::string kept;
    try {
        kept = gs::test::flags_of({reinterpret_cast<const char*>(data), size});
    } catch (const gs::Error& e) {
        if (e.kind() != gs::ErrorKind::Usage) std::abort();
        return 0;
    } catch (const CLI::ParseError&) {
        return 0;
    }
    // The library takes "[a]" for a list wherever values may be several.
    if (kept.find("\"[") == kept.npos && gs::test::flags_of(kept) != kept) std::abort();
    return 0;
}
