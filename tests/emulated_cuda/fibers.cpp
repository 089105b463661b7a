// Threads of a block as fibers. Blocks run one after the other, but for those that wait for others.
#include <cuda_runtime.h>

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace gs::emulated {
namespace {

namespace ctx = boost::context;
constexpr size_t kStackBytes = 64 << 10;

constexpr size_t kMostWaiting = 132;  // blocks, as many as a device has multiprocessors

enum class State : uint8_t { Ready, AtBlockBarrier, AtWarpBarrier, AtCondition, AtOtherBlocks, Done };

struct Thread {
    ctx::fiber fiber;      // where this thread goes on
    ctx::fiber scheduler;  // where it came from
    State state = State::Done;
    uint3 index{};
    unsigned parity = 0;
    AsyncGroups<Copy> copies;
    Products products;
    std::function<bool()> ready;  // AtCondition
    std::exception_ptr error;     // what ended it
};

class Block {
  public:
    void start(dim3 block, uint3 index, size_t shared_bytes, const std::function<void()>& body) {
        body_ = &body;
        index_ = index;
        count_ = block.x * block.y * block.z;
        shared_bytes_ = shared_bytes;
        shared_.resize(shared_bytes / sizeof(Line) + 1);
        std::memset(shared_.data(), 0xff, shared_.size() * sizeof(Line));
        exchange_.resize(2 * static_cast<size_t>(count_ + kWarp) * kExchangeBytes);
        while (threads_.size() < count_) threads_.push_back(make_thread());
        for (unsigned t = 0; t < count_; ++t) {
            const unsigned row = t / block.x;
            threads_[t]->index = {t % block.x, row % block.y, row / block.y};
            threads_[t]->state = State::Ready;
            threads_[t]->parity = 0;
            threads_[t]->copies.clear();
            threads_[t]->products = {};
        }
    }
    // Goes on until it has ended (true) or waits for other blocks.
    bool advance() {
        ::blockIdx = index_;
        for (unsigned t = 0; t < count_; ++t)
            if (threads_[t]->state == State::AtOtherBlocks) threads_[t]->state = State::Ready;
        while (run_ready()) {
            if (random() % 2 == 0) run_async();
            if (!release()) return false;
        }
        if (!async_.empty()) throw std::logic_error("a block ended before its copies");
        return true;
    }

    void wait(State at) {
        Thread& self = *running_;
        self.state = at;
        self.scheduler = std::move(self.scheduler).resume();
    }
    unsigned running_index() const { return running_at_; }
    std::byte* exchange() {
        const size_t half = exchange_.size() / 2, warp = running_at_ / kWarp;
        running_->parity ^= 1;
        return exchange_.data() + running_->parity * half + warp * kWarp * kExchangeBytes;
    }
    void* shared() { return shared_.data(); }
    std::span<std::byte> shared_bytes() { return {shared_.data()->bytes, shared_bytes_}; }
    Thread& running() { return *running_; }
    void wait_until(const std::function<bool()>& ready) {
        running_->ready = ready;
        while (!ready()) wait(State::AtCondition);
    }
    void start_async(std::function<void()> work) { async_.push_back(std::move(work)); }
    unsigned random() {
        order_ = order_ * 6364136223846793005u + 1442695040888963407u;
        return static_cast<unsigned>(order_ >> 33);
    }

  private:
    std::vector<std::unique_ptr<Thread>> threads_;
    Thread* running_ = nullptr;
    unsigned running_at_ = 0, count_ = 0;
    uint3 index_{};
    const std::function<void()>* body_ = nullptr;
    struct alignas(128) Line {
        std::byte bytes[128];
    };
    std::vector<Line> shared_;
    size_t shared_bytes_ = 0;
    std::vector<std::function<void()>> async_;
    std::vector<std::byte> exchange_;
    uint64_t order_ = 0x9e3779b97f4a7c15u;

    // A thread lives as long as the process and runs the body of one block after the other.
    std::unique_ptr<Thread> make_thread() {
        auto thread = std::make_unique<Thread>();
        Thread* self = thread.get();
        thread->fiber = ctx::fiber(std::allocator_arg, ctx::protected_fixedsize_stack(kStackBytes),
                                   [this, self](ctx::fiber&& scheduler) {
                                       self->scheduler = std::move(scheduler);
                                       for (;;) {
                                           try {
                                               (*body_)();
                                           } catch (const std::exception&) {
                                               self->error = std::current_exception();
                                           }
                                           wait(State::Done);
                                       }
                                       return std::move(self->scheduler);
                                   });
        return thread;
    }

    // One piece of the block's asynchronous work, whichever; whether there was any.
    bool run_async() {
        if (async_.empty()) return false;
        std::swap(async_[random() % async_.size()], async_.back());
        const std::function<void()> work = std::move(async_.back());
        async_.pop_back();
        work();
        return true;
    }

    // Every ready thread until it waits, in another order each time; whether any is left.
    bool run_ready() {
        const unsigned first = random() % count_;
        const bool backwards = random() % 2 == 0;
        bool left = false;
        for (unsigned i = 0; i < count_; ++i) {
            const unsigned t = backwards ? (first + count_ - i) % count_ : (first + i) % count_;
            Thread& thread = *threads_[t];
            if (thread.state == State::Ready) {
                running_ = &thread;
                running_at_ = t;
                ::threadIdx = thread.index;
                thread.fiber = std::move(thread.fiber).resume();
                running_ = nullptr;
                if (thread.error) std::rethrow_exception(std::exchange(thread.error, nullptr));
            }
            left = left || thread.state != State::Done;
        }
        return left;
    }

    // false: nothing goes on before other blocks have.
    bool release() {
        bool released = false;
        for (unsigned first = 0; first < count_; first += kWarp)
            released = release(first, std::min(first + kWarp, count_), State::AtWarpBarrier) || released;
        released = release_ready() || released;
        if (released || release(0, count_, State::AtBlockBarrier) || run_async()) return true;
        for (unsigned t = 0; t < count_; ++t)
            if (threads_[t]->state == State::AtOtherBlocks) return false;
        throw std::logic_error("threads of a block wait at different barriers");
    }
    bool release_ready() {
        bool any = false;
        for (unsigned t = 0; t < count_; ++t) {
            if (threads_[t]->state != State::AtCondition || !threads_[t]->ready()) continue;
            threads_[t]->state = State::Ready;
            any = true;
        }
        return any;
    }
    // Makes [begin, end) ready if all of them that still run wait there.
    bool release(unsigned begin, unsigned end, State at) {
        bool any = false;
        for (unsigned t = begin; t < end; ++t) {
            if (threads_[t]->state == State::Done) continue;
            if (threads_[t]->state != at) return false;
            any = true;
        }
        for (unsigned t = begin; any && t < end; ++t)
            if (threads_[t]->state == at) threads_[t]->state = State::Ready;
        return any;
    }
};

// The blocks of a kernel, in order; one that waits for others is tried again after each that follows.
class Device {
  public:
    void run(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body) {
        if (running_ != nullptr) throw std::logic_error("a kernel was launched from a kernel");
        ::gridDim = grid;
        ::blockDim = block;
        try {
            for (unsigned z = 0; z < grid.z; ++z)
                for (unsigned y = 0; y < grid.y; ++y)
                    for (unsigned x = 0; x < grid.x; ++x) start(block, {x, y, z}, shared_bytes, body);
            while (!waiting_.empty())
                if (!advance_all()) throw std::logic_error("blocks wait for what nobody writes");
        } catch (...) {
            std::move(waiting_.begin(), waiting_.end(), std::back_inserter(stuck_));
            waiting_.clear();
            throw;
        }
    }
    Block& running() { return *running_; }

  private:
    // While it lives, `block` is the one that runs.
    class Running {
      public:
        Running(Block*& at, Block& block) : at_(at) { at_ = &block; }
        ~Running() { at_ = nullptr; }
        Running(const Running&) = delete;
        Running& operator=(const Running&) = delete;

      private:
        Block*& at_;
    };
    std::vector<std::unique_ptr<Block>> free_, waiting_, stuck_;  // fibers of the stuck cannot be ended
    Block* running_ = nullptr;

    void start(dim3 block, uint3 index, size_t shared_bytes, const std::function<void()>& body) {
        if (free_.empty()) free_.push_back(std::make_unique<Block>());
        waiting_.push_back(std::move(free_.back()));
        free_.pop_back();
        waiting_.back()->start(block, index, shared_bytes, body);
        advance_all();
        if (waiting_.size() >= kMostWaiting) throw std::logic_error("too many blocks wait for each other");
    }
    // Whether one of them has ended.
    bool advance_all() {
        const size_t before = waiting_.size();
        for (auto& block : waiting_) {
            const Running running(running_, *block);
            if (block->advance()) free_.push_back(std::move(block));
        }
        std::erase(waiting_, nullptr);
        return waiting_.size() < before;
    }
};

// Never destroyed: its fibers never end.
Device& device() {
    thread_local Device* instance = new Device;
    return *instance;
}
Block& block() {
    return device().running();
}

}  // namespace

void block_barrier() {
    block().wait(State::AtBlockBarrier);
}
void warp_barrier() {
    block().wait(State::AtWarpBarrier);
}
std::byte* warp_exchange() {
    return block().exchange();
}
void let_other_blocks_run() {
    block().wait(State::AtOtherBlocks);
}
void start_copy(const Copy& copy) {
    if (chance())
        copy();
    else
        block().running().copies.start(copy);
}
void commit_copies() {
    block().running().copies.commit();
}
void wait_for_copies(unsigned left) {
    block().running().copies.wait(left);
}
bool chance() {
    return block().random() % 2 == 0;
}
Products& products() {
    return block().running().products;
}
void wait_until(const std::function<bool()>& ready) {
    block().wait_until(ready);
}
void start_async(std::function<void()> work) {
    block().start_async(std::move(work));
}
std::span<std::byte> dynamic_shared_bytes() {
    return block().shared_bytes();
}
unsigned thread_index() {
    return block().running_index();
}
unsigned lane() {
    return block().running_index() % kWarp;
}
void* dynamic_shared() {
    return block().shared();
}
void run(dim3 grid, dim3 block_shape, size_t shared_bytes, const std::function<void()>& thread) {
    device().run(grid, block_shape, shared_bytes, thread);
}

}  // namespace gs::emulated
