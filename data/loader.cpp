// The loader. The index range is cut into groups of `batch` images; threads take images in order, each writes
// into its image's place in the group, and the one that finishes a group makes batches of it. So the consumer
// never copies, and the order and the batches do not depend on timing.
#include "data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "core/files.h"

namespace gs {
namespace {

struct Item {
    int64_t position = 0, index = 0, width = 0, height = 0;
    std::vector<float> own;    // where sizes are not known beforehand
    std::span<float> place{};  // or a part of the group's batch
    std::string digest;
    std::optional<std::string> failure;
};

struct Group {
    int64_t remaining = 0;
    std::vector<Item> items;
    Batch batch;  // the items' places, where the size is known
    std::deque<Batch> ready;
    bool done = false;
};

// The reason without the item's name, which stands beside it wherever it is shown.
std::string strip_name(std::string message, const std::string& name) {
    const size_t at = message.find(name + ": ");
    return at == std::string::npos ? message : message.substr(at + name.size() + 2);
}

// An order says what stands at any position; without one the set ends the range.
int64_t last_position(const ImageSet& set, const LoaderOptions& options) {
    if (options.order) return options.last;
    return options.last < 0 ? set.size() : std::min(options.last, set.size());
}

std::optional<Size> known_size(const ImageSet& set, const Preprocess& preprocess,
                               const LoaderOptions& options) {
    if (set.is_raw()) return std::nullopt;
    return options.training ? output_size(options.training->augmentation, preprocess)
                            : preprocess.output_size();
}

}  // namespace

struct Loader::State {
    const ImageSet& set;
    const Preprocess preprocess;
    const LoaderOptions options;
    const int64_t last, group_count;
    const int64_t ahead;  // groups in work or waiting
    const std::optional<Size> size;

    std::mutex mutex;
    std::condition_variable work, ready;
    std::deque<std::unique_ptr<Group>> groups;  // in order; the first is the consumer's next
    std::vector<std::unique_ptr<Group>> spare_groups;
    std::vector<Batch> spare;
    int64_t next_index, opened = 0;
    bool stop = false;
    std::exception_ptr error;
    std::vector<std::thread> threads;

    State(const ImageSet& set_, const Preprocess& preprocess_, const LoaderOptions& options_)
        : set(set_),
          preprocess(preprocess_),
          options(options_),
          last(last_position(set_, options_)),
          group_count((std::max<int64_t>(last - options_.first, 0) + options_.batch - 1) / options_.batch),
          ahead(2 + (options_.threads + options_.batch - 1) / options_.batch),
          size(known_size(set_, preprocess_, options_)),
          next_index(options_.first) {}

    ~State();

    void run();
    void open_group();
    std::optional<std::pair<Group*, Item*>> take(std::unique_lock<std::mutex>& lock);
    void load(Item& item) const;
    void load_pixels(Item& item) const;
    Image prepared(const Item& item, const Image& decoded) const;
    void finish(Group& group, std::unique_lock<std::mutex>& lock);
    void finish_in_place(Group& group) const;
    void finish_by_size(Group& group, std::unique_lock<std::mutex>& lock);
    std::optional<Batch> next();
    Batch take_spare();
    void keep_spare(Batch&& batch);
};

// Called with the mutex held.
Batch Loader::State::take_spare() {
    if (spare.empty()) return {};
    Batch batch = std::move(spare.back());
    spare.pop_back();
    batch.count = batch.height = batch.width = 0;
    batch.indices.clear();
    batch.digests.clear();
    batch.failures.clear();
    return batch;
}

void Loader::State::keep_spare(Batch&& batch) {
    if (static_cast<int64_t>(spare.size()) < ahead + 2) spare.push_back(std::move(batch));
}

// Called with the mutex held.
void Loader::State::open_group() {
    std::unique_ptr<Group> group;
    if (spare_groups.empty()) {
        group = std::make_unique<Group>();
    } else {
        group = std::move(spare_groups.back());
        spare_groups.pop_back();
    }
    const int64_t begin = options.first + opened * options.batch;
    ++opened;
    group->remaining = std::min(options.batch, last - begin);
    group->done = false;
    group->items.resize(static_cast<size_t>(group->remaining));
    if (size) {
        group->batch = take_spare();
        group->batch.width = size->width;
        group->batch.height = size->height;
    }
    const auto each = static_cast<size_t>(size ? size->width * size->height * 3 : 0);
    group->batch.pixels.resize(each * group->items.size());
    for (size_t i = 0; i < group->items.size(); ++i) {
        Item& item = group->items[i];
        item.position = begin + static_cast<int64_t>(i);
        item.index = options.order ? options.order(item.position) : item.position;
        item.place = std::span(group->batch.pixels).subspan(i * each, each);
        item.failure.reset();
    }
    groups.push_back(std::move(group));
}

// The next image to load; nothing when there is none left or the loader is to stop.
std::optional<std::pair<Group*, Item*>> Loader::State::take(std::unique_lock<std::mutex>& lock) {
    while (!stop && next_index < last) {
        const int64_t number = (next_index - options.first) / options.batch;
        const int64_t front = opened - static_cast<int64_t>(groups.size());
        if (number >= front + ahead) {
            work.wait(lock);
            continue;
        }
        if (number == opened) open_group();
        Group& group = *groups[static_cast<size_t>(number - front)];
        return std::pair{&group,
                         &group.items[static_cast<size_t>((next_index++ - options.first) % options.batch)]};
    }
    return {};
}

void Loader::State::run() {
    std::unique_lock lock(mutex);
    try {
        while (const auto taken = take(lock)) {
            auto [group, item] = *taken;
            lock.unlock();
            load(*item);
            lock.lock();
            if (--group->remaining > 0) continue;
            finish(*group, lock);
            ready.notify_one();
        }
    } catch (...) {
        if (!lock.owns_lock()) lock.lock();
        if (!error) error = std::current_exception();
        stop = true;
        work.notify_all();
        ready.notify_one();
    }
}

void Loader::State::load(Item& item) const {
    try {
        load_pixels(item);
    } catch (const Error& fault) {
        if (fault.kind() != ErrorKind::Data) throw;
        item.failure = strip_name(fault.what(), set.item(item.index).path);
    }
}

Image Loader::State::prepared(const Item& item, const Image& decoded) const {
    if (!options.training) return transform(decoded, preprocess);
    const Random random{options.training->seed, static_cast<uint64_t>(item.position)};
    return augmented(decoded, options.training->augmentation, preprocess, random);
}

void Loader::State::load_pixels(Item& item) const {
    const std::vector<std::byte> bytes = set.bytes(item.index);
    if (options.digests) item.digest = sha256_hex(bytes);
    if (set.is_raw()) {
        RawInput raw = set.raw(item.index, bytes);
        item.width = raw.width;
        item.height = raw.height;
        item.own = std::move(raw.values);
        return;
    }
    const Image image = prepared(item, set.decode(item.index, bytes, options.limits));
    item.width = image.width;
    item.height = image.height;
    if (!size) item.own.resize(image.rgb.size());
    normalise(image, preprocess, size ? item.place : std::span(item.own));
}

namespace {

void add_item(Batch& batch, Item& item, bool digests) {
    ++batch.count;
    batch.indices.push_back(item.index);
    if (digests) batch.digests.push_back(std::move(item.digest));
}

}  // namespace

// Every item's pixels are in the batch already; those after a failure move up.
void Loader::State::finish_in_place(Group& group) const {
    Batch& batch = group.batch;
    const size_t each = batch.pixels.size() / group.items.size();
    for (Item& item : group.items) {
        if (item.failure) {
            batch.failures.push_back({item.index, std::move(*item.failure)});
            continue;
        }
        float* target = batch.pixels.data() + static_cast<size_t>(batch.count) * each;
        if (target != item.place.data()) std::copy(item.place.begin(), item.place.end(), target);
        add_item(batch, item, options.digests);
    }
    batch.pixels.resize(each * static_cast<size_t>(batch.count));
    group.ready.push_back(std::move(batch));
}

// Runs of equal size become batches. The group is this thread's alone here, so the lock is only for the spare
// ones.
void Loader::State::finish_by_size(Group& group, std::unique_lock<std::mutex>& lock) {
    for (Item& item : group.items) {
        Batch* batch = group.ready.empty() ? nullptr : &group.ready.back();
        const bool fits = batch != nullptr && (item.failure || batch->count == 0 ||
                                               (batch->width == item.width && batch->height == item.height));
        if (!fits) {
            lock.lock();
            group.ready.push_back(take_spare());
            lock.unlock();
            batch = &group.ready.back();
            batch->pixels.clear();
        }
        if (item.failure) {
            batch->failures.push_back({item.index, std::move(*item.failure)});
            continue;
        }
        batch->width = item.width;
        batch->height = item.height;
        batch->pixels.insert(batch->pixels.end(), item.own.begin(), item.own.end());
        add_item(*batch, item, options.digests);
    }
}

void Loader::State::finish(Group& group, std::unique_lock<std::mutex>& lock) {
    lock.unlock();
    if (size)
        finish_in_place(group);
    else
        finish_by_size(group, lock);
    lock.lock();
    group.done = true;
}

std::optional<Batch> Loader::State::next() {
    std::unique_lock lock(mutex);
    const auto at_end = [&] { return opened == group_count && groups.empty(); };
    ready.wait(lock, [&] { return error || at_end() || (!groups.empty() && groups.front()->done); });
    if (error) std::rethrow_exception(error);
    if (at_end()) return {};
    Group& group = *groups.front();
    Batch batch = std::move(group.ready.front());
    group.ready.pop_front();
    if (group.ready.empty()) {
        spare_groups.push_back(std::move(groups.front()));
        groups.pop_front();
        work.notify_all();
    }
    return batch;
}

Loader::State::~State() {
    {
        const std::lock_guard lock(mutex);
        stop = true;
    }
    work.notify_all();
    for (std::thread& thread : threads) thread.join();
}

Loader::Loader(const ImageSet& set, const Preprocess& preprocess, const LoaderOptions& options) {
    GS_REQUIRE(options.batch > 0 && options.threads > 0 && options.first >= 0);
    GS_REQUIRE(!options.order || options.last >= options.first);
    state_ = std::make_unique<State>(set, preprocess, options);
    for (int i = 0; i < options.threads; ++i)
        state_->threads.emplace_back([state = state_.get()] { state->run(); });
}

Loader::~Loader() = default;

std::optional<Batch> Loader::next() {
    return state_->next();
}

std::span<const float> Loader::ready() const {
    const std::lock_guard lock(state_->mutex);
    if (state_->groups.empty() || !state_->groups.front()->done) return {};
    return state_->groups.front()->ready.front().pixels;
}

void Loader::recycle(Batch&& batch) {
    const std::lock_guard lock(state_->mutex);
    state_->keep_spare(std::move(batch));
}

}  // namespace gs
