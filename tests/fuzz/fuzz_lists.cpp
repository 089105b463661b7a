// Any text as each of the lists that are read line by line: images to leave out, numbers of classes of
// groups, hashes of images.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "core/error.h"
#include "data/sets.h"
#include "scores/group_head.h"
#include "tools/run_folder.h"

namespace {

void read_skip_list(std::string_view text) {
    const auto indices = gs::detail::parse_skip_list(text, "fuzz");
    if (std::adjacent_find(indices.begin(), indices.end(), std::greater_equal<>()) != indices.end())
        std::abort();
}

void read_groups(std::string_view text) {
    const gs::GroupHead head = gs::parse_group_file(std::as_bytes(std::span(text)), "fuzz");
    if (head.sizes.empty() || *std::min_element(head.sizes.begin(), head.sizes.end()) < 1 ||
        head.classes() < 1)
        std::abort();
}

void read_digests(std::string_view text) {
    for (const std::string& digest : gs::parse_digests(text, "fuzz"))
        if (digest.size() != 64) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    for (const auto& read : {read_skip_list, read_groups, read_digests}) {
        try {
            read({reinterpret_cast<const char*>(data), size});
        } catch (const gs::Error& e) {
            if (e.kind() != gs::ErrorKind::Data || !std::string_view(e.what()).starts_with("fuzz"))
                std::abort();
        }
    }
    return 0;
}
