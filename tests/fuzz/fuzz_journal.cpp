// A journal's file ends where its first record that is not whole begins; a record that is whole is refused
// with an Error, or is a batch whose arrays have a row for each image. Checksums are out of a fuzzer's reach,
// so what it makes is read as a journal and as the payload of a record.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "core/error.h"
#include "core/journal.h"
#include "tools/batch_record.h"

namespace {

const gs::Request& arrays() {
    static const gs::Request request{.logits = true,
                                     .features = true,
                                     .activations = {{.tap = "block1", .reduction = gs::Reduction::Mean}},
                                     .backwards = {}};
    return request;
}

void read_journal(std::span<const std::byte> bytes) {
    gs::JournalReader reader(bytes);
    while (const auto record = reader.next())
        if (record->data() + record->size() > bytes.data() + bytes.size()) std::abort();
    if (reader.position().bytes > static_cast<int64_t>(bytes.size())) std::abort();
    if (reader.more_follows() && reader.position().bytes == static_cast<int64_t>(bytes.size())) std::abort();
}

void read_batch(std::span<const std::byte> bytes) {
    const gs::BatchRecord record = gs::decode_batch(bytes, 2, arrays());
    if (record.indices.size() != record.digests.size()) std::abort();
    if (record.indices.empty()) return;
    for (const gs::Matrix* matrix : gs::arrays_of(arrays(), record.evidence))
        if (matrix->rows != static_cast<int64_t>(record.indices.size()) ||
            static_cast<int64_t>(matrix->values.size()) != matrix->rows * matrix->cols)
            std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    for (const auto& read : {read_journal, read_batch}) {
        try {
            read(bytes);
        } catch (const gs::Error& e) {
            if (e.kind() != gs::ErrorKind::Data) std::abort();
        }
    }
    return 0;
}
