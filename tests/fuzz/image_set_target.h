// What the fuzz targets of image sets share: a set is refused with Error(Data), or every item can be asked
// for.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <string>

#include "data/image_set.h"
#include "tests/support/scratch_file.h"

namespace gs::test {

inline void open_and_read(const std::string& kind, std::span<const uint8_t> content,
                          const std::string& suffix, bool items_are_files = false,
                          const std::string& options = "") {
    const ScratchFile file(content, suffix);
    try {
        const auto set = open_image_set("x=" + kind + ":" + file.path() + options);
        for (int64_t i = 0; i < std::min<int64_t>(set->size(), 20); ++i) {
            if (set->item(i).path.empty()) std::abort();
            if (items_are_files) continue;  // of the fuzzer's machine: not to be opened
            const auto bytes = set->bytes(i);
            if (set->is_raw())
                set->raw(i, bytes);
            else
                set->decode(i, bytes, {});
        }
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::Data) std::abort();
        if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
    }
}

}  // namespace gs::test
