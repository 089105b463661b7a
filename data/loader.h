// Reads, decodes and preprocesses a set's images on several threads, ahead of the net, in order.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/augment.h"
#include "data/image_set.h"

namespace gs {

struct LoadFailure {
    int64_t index = 0;
    std::string reason;  // one line, without the path
};

// Consecutive images of one size. Images of different sizes (no crop) come in batches of their own.
struct Batch {
    int64_t count = 0, height = 0, width = 0;
    std::vector<float> pixels;         // [count][height][width][3], normalised
    std::vector<int64_t> indices;      // of the images that are there, in the loader's order
    std::vector<std::string> digests;  // SHA-256 of each image's bytes(), where asked for
    std::vector<LoadFailure>
        failures;  // of images between these that could not be used; may come with count = 0
};

// Of training images: each position of the loader's order has random numbers of its own, whatever the
// threads.
struct TrainingImages {
    Augmentation augmentation;
    uint64_t seed = 0;
};

struct LoaderOptions {
    int64_t batch = 8;
    int threads = 1;    // decoding threads
    int64_t first = 0;  // range of positions, which are the set's indices where no order is given
    int64_t last = -1;  // one past; -1: the set's size
    std::function<int64_t(int64_t position)> order{};  // the index at a position; thread-safe
    std::optional<TrainingImages> training{};
    bool digests = false;
    DecodeLimits limits{};
};

class Loader {
  public:
    // The set must outlive the loader. Decoding starts at once and runs at most a few batches ahead.
    Loader(const ImageSet& set, const Preprocess& preprocess, const LoaderOptions& options);
    ~Loader();  // stops the threads, however far they are
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    // The next batch in order of position; nothing at the end. Batches given back by recycle() are used
    // again, so that nothing is allocated in the steady state. An exception of a thread that is no image's
    // fault comes out here.
    std::optional<Batch> next();
    void recycle(Batch&& batch);
    // Pixels of the batch that next() will give, in their place, where it would not wait; else nothing.
    std::span<const float> ready() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace gs
