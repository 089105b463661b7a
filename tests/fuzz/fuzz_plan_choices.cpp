// Any bytes as a file of convolution plans: never an error; what is read can be written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cuda/plans/choice_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const gs::cuda::ParsedChoices parsed =
        gs::cuda::parse_choices({reinterpret_cast<const char*>(data), size});
    if (!parsed.is_ours && !parsed.choices.empty()) std::abort();
    const gs::cuda::ParsedChoices again = gs::cuda::parse_choices(gs::cuda::format_choices(parsed.choices));
    if (!again.is_ours || again.damaged_lines != 0 || again.choices.size() != parsed.choices.size())
        std::abort();
    return 0;
}
