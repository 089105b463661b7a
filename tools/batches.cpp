#include "tools/batches.h"

#include <algorithm>

#include "tools/setup.h"

namespace gs {

int64_t loader_group(Executor& executor, const Preprocess& preprocess, int64_t batch) {
    constexpr int64_t kAtLeast = 8;
    const auto size = preprocess.output_size();
    if (!size) return batch > 0 ? batch : kAtLeast;
    const int64_t micro = executor.plan(size->height, size->width).max_batch;
    return std::max(micro, kAtLeast / micro * micro);
}

bool run_batches(Executor& executor, const ImageSet& set, const Preprocess& preprocess,
                 const BatchOptions& options, const std::function<void(const Batch&, Evidence)>& each) {
    Loader loader(
        set, preprocess,
        {.batch = options.group > 0 ? options.group : loader_group(executor, preprocess, options.batch),
         .threads = options.loader_threads,
         .first = options.first,
         .last = options.last,
         .digests = true,
         .limits = options.limits});
    // However this ends: other images may come to stand where the loader's stood.
    struct ForgetNext {
        Executor& executor;
        ~ForgetNext() { executor.forget_next(); }
    } forget_next{executor};
    while (auto batch = loader.next()) {
        Evidence evidence;
        if (batch->count > 0)
            evidence =
                executor.run(std::span(batch->pixels)
                                 .first(static_cast<size_t>(batch->count * batch->height * batch->width * 3)),
                             batch->count, batch->height, batch->width, loader.ready());
        each(*batch, std::move(evidence));
        loader.recycle(std::move(*batch));
        if (interrupted()) return false;
    }
    return true;
}

Error strict_error(const std::string& image, const std::string& reason) {
    return Error(ErrorKind::Data, image + ": " + reason + " (--strict)");
}

}  // namespace gs
