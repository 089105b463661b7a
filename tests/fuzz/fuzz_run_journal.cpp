// Any records as the journal of a run: refused with an Error, or a run that can go on, and go on once more.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "tests/fuzz/journal_of.h"
#include "tools/run_journal.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const gs::RunStart start{
        .identity = {{"--methods", "msp"}}, .circumstances = {}, .command = "", .started = ""};
    static const gs::Request arrays{.logits = true};
    try {
        const gs::test::JournalOf journal(std::as_bytes(std::span(data, size)));
        const int64_t images = journal.resume(start, "score a", 1, arrays);
        if (images < 0 || journal.resume(start, "score a", 1, arrays) != images) std::abort();
    } catch (const gs::Error& e) {
        if (e.kind() != gs::ErrorKind::Data && e.kind() != gs::ErrorKind::Usage) std::abort();
    }
    return 0;
}
