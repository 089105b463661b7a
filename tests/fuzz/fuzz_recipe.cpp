// Any text as a recipe file; what is read is written and read again.
#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "train/recipe.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gs::train;
    try {
        const Recipe recipe = read_recipe({reinterpret_cast<const char*>(data), size}, "fuzz");
        if (!(read_recipe(to_toml(recipe), "again") == recipe)) std::abort();
        check_recipe(recipe);
        resolved(recipe, 50'000);
    } catch (const gs::Error&) {
    }
    return 0;
}
