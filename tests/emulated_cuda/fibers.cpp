// Threads of a block as fibers.
#include <cuda_runtime.h>

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <memory>
#include <stdexcept>
#include <vector>

namespace gs::emulated {
namespace {

namespace ctx = boost::context;
constexpr size_t kStackBytes = 64 << 10;

enum class State : uint8_t { Ready, AtBlockBarrier, AtWarpBarrier, Done };

struct Thread {
    ctx::fiber fiber;      // where this thread goes on
    ctx::fiber scheduler;  // where it came from
    State state = State::Done;
    uint3 index{};
    unsigned parity = 0;
};

class Block {
  public:
    void run(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body) {
        if (running_ != nullptr) throw std::logic_error("a kernel was launched from a kernel");
        body_ = &body;
        ::gridDim = grid;
        ::blockDim = block;
        count_ = block.x * block.y * block.z;
        shared_.resize(shared_bytes / sizeof(Line) + 1);
        exchange_.resize(2 * static_cast<size_t>(count_ + kWarp) * kExchangeBytes);
        while (threads_.size() < count_) threads_.push_back(make_thread());
        for (unsigned z = 0; z < grid.z; ++z)
            for (unsigned y = 0; y < grid.y; ++y)
                for (unsigned x = 0; x < grid.x; ++x) run_block({x, y, z});
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

  private:
    std::vector<std::unique_ptr<Thread>> threads_;
    Thread* running_ = nullptr;
    unsigned running_at_ = 0, count_ = 0;
    const std::function<void()>* body_ = nullptr;
    struct alignas(128) Line {
        std::byte bytes[128];
    };
    std::vector<Line> shared_;
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
                                           (*body_)();
                                           wait(State::Done);
                                       }
                                       return std::move(self->scheduler);
                                   });
        return thread;
    }

    void run_block(uint3 index) {
        ::blockIdx = index;
        std::memset(shared_.data(), 0xff, shared_.size() * sizeof(Line));
        for (unsigned t = 0; t < count_; ++t) {
            const unsigned row = t / ::blockDim.x;
            threads_[t]->index = {t % ::blockDim.x, row % ::blockDim.y, row / ::blockDim.y};
            threads_[t]->state = State::Ready;
            threads_[t]->parity = 0;
        }
        while (run_ready()) release();
    }

    // Every ready thread until it waits, in another order each time; whether any is left.
    bool run_ready() {
        order_ = order_ * 6364136223846793005u + 1442695040888963407u;
        const unsigned first = static_cast<unsigned>(order_ >> 33) % count_;
        const bool backwards = (order_ >> 40) & 1;
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
            }
            left = left || thread.state != State::Done;
        }
        return left;
    }

    void release() {
        bool released = false;
        for (unsigned first = 0; first < count_; first += kWarp)
            released = release(first, std::min(first + kWarp, count_), State::AtWarpBarrier) || released;
        if (!released && !release(0, count_, State::AtBlockBarrier))
            throw std::logic_error("threads of a block wait at different barriers");
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

// Never destroyed: its fibers never end.
Block& block() {
    thread_local Block* instance = new Block;
    return *instance;
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
unsigned lane() {
    return block().running_index() % kWarp;
}
void* dynamic_shared() {
    return block().shared();
}
void run(dim3 grid, dim3 block_shape, size_t shared_bytes, const std::function<void()>& thread) {
    block().run(grid, block_shape, shared_bytes, thread);
}

}  // namespace gs::emulated
