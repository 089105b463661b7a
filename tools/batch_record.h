// One batch of images as a run's journal keeps it (tools/run_journal.h): everything that scoring or fitting
// it has left, so that a run that goes on need not run the net over it again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/loader.h"
#include "passes/evidence.h"

namespace gs {

struct BatchRecord {
    double seconds = 0;                 // since the batch before, or since the stage began
    int64_t group = 0;                  // images that the loader takes together; batches end where groups end
    bool ends_group = false;            // the next batch begins a group: a run may go on behind this one
    std::vector<int64_t> indices;       // of the images that could be used, ascending
    std::vector<std::string> digests;   // SHA-256 of each
    std::vector<LoadFailure> failures;  // the others, ascending
    std::vector<int64_t> predictions;   // of each image; of a fit: none
    std::vector<std::vector<double>> scores;  // [method][image]
    Evidence evidence;                        // the arrays that are kept

    // One past the last image, or `otherwise` where there is none.
    int64_t end(int64_t otherwise) const;
};

// What `request` asks for, in its order: places in `evidence`, made where they are not there (of a const one
// they must be). So two processes agree on which array is which without writing down what it is of.
std::vector<Matrix*> arrays_of(const Request& request, Evidence& evidence);
std::vector<const Matrix*> arrays_of(const Request& request, const Evidence& evidence);
// The arrays of the request alone.
Evidence part_of(const Evidence& evidence, const Request& request);
// More rows for each of the arrays.
void append_rows(Evidence& to, const Evidence& from, const Request& request);

// `stage`: what the batch belongs to ("score figures"); record.evidence holds the arrays of `arrays`.
std::vector<std::byte> encode_batch(const std::string& stage, const BatchRecord& record,
                                    const Request& arrays);
// What stands at its beginning: all that is needed to find one's way.
struct BatchHead {
    std::string stage;
    bool ends_group = false;
    int64_t images = 0;  // used or not
};
BatchHead decode_head(std::span<const std::byte> bytes);
// Throws Error(Data) for what is no record of a batch with `methods` scores and these arrays.
BatchRecord decode_batch(std::span<const std::byte> bytes, size_t methods, const Request& arrays);

}  // namespace gs
