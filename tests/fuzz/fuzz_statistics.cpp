// A statistics file's header and data; the length before them is put right. Refused with one line, or every
// array is as long as its shape says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "scores/statistics.h"
#include "tests/weights/builders.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string file =
        gs::testing_weights::header_and_data({reinterpret_cast<const char*>(data), size});
    try {
        const gs::Statistics s = gs::read_statistics_from_memory(std::as_bytes(std::span(file)), "fuzz");
        for (const gs::FitState& state : s.states)
            for (const auto& [name, array] : state.arrays) {
                size_t elements = 1;
                for (const int64_t extent : array.shape) elements *= static_cast<size_t>(extent);
                if (std::visit([](const auto& v) { return v.size(); }, array.values) != elements)
                    std::abort();
            }
        if (!s.seen.empty() && !s.saw(s.seen.back())) std::abort();
    } catch (const gs::Error& error) {
        const std::string message = error.what();
        if (error.kind() != gs::ErrorKind::Data || !message.starts_with("fuzz: ")) std::abort();
        for (const char c : message)
            if (static_cast<unsigned char>(c) < 0x20) std::abort();
    }
    return 0;
}
