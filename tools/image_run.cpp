#include "tools/image_run.h"

#include "tools/setup.h"

namespace gs {

ImageRunOptions image_run_options(const ImageRunFlags& flags) {
    return {.batch = flags.net.batch,
            .loader_threads = resolve_threads(flags.net.threads),
            .fuse = !flags.net.no_fuse,
            .strict = flags.strict,
            .limit = flags.limit,
            .limits = {.max_pixels = flags.max_pixels},
            .progress = stderr_style(flags.quiet)};
}

}  // namespace gs
