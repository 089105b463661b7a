// Any bytes as a pickle, with every global allowed: an Error, or values that can be walked.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/pickle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto allow_all = [](std::string_view) { return true; };
    try {
        const gs::pickle::Parsed parsed = gs::pickle::parse(bytes, allow_all, "fuzz", gs::ErrorKind::Data);
        if (parsed.consumed > size || parsed.values.size() > size) std::abort();
        for (const gs::pickle::Value& value : parsed.values) {
            gs::pickle::text(value);
            gs::pickle::find(value, "a");
        }
    } catch (const gs::Error& error) {
        if (error.kind() != gs::ErrorKind::Data) std::abort();
    }
    return 0;
}
