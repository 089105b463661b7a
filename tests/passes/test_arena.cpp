// Buffers that are alive together never overlap: by construction, and by running plans in an arena where
// everything that is not alive is overwritten before each step.
#include <cstring>
#include <limits>

#include "tests/passes/support.h"
#include "tests/support/random.h"

namespace gs::test {
namespace {

size_t live_bytes(const std::vector<PlannedBuffer>& buffers, int64_t batch, int step) {
    size_t sum = 0;
    for (const PlannedBuffer& b : buffers)
        if (b.first >= 0 && b.first <= step && step <= b.last) sum += b.bytes(batch);
    return sum;
}

size_t peak_of_live_bytes(const std::vector<PlannedBuffer>& buffers, int64_t batch) {
    size_t peak = 0;
    for (const PlannedBuffer& b : buffers)
        if (b.first >= 0) peak = std::max(peak, live_bytes(buffers, batch, b.first));
    return peak;
}

void expect_disjoint(const std::vector<PlannedBuffer>& buffers, int64_t batch, size_t total) {
    for (size_t i = 0; i < buffers.size(); ++i) {
        const PlannedBuffer& a = buffers[i];
        if (a.first < 0) continue;
        ASSERT_EQ(a.offset % 64, 0u);
        ASSERT_LE(a.offset + a.bytes(batch), total);
        for (size_t j = 0; j < i; ++j) {
            const PlannedBuffer& b = buffers[j];
            if (b.first < 0 || a.first > b.last || b.first > a.last) continue;
            ASSERT_TRUE(a.offset + a.bytes(batch) <= b.offset || b.offset + b.bytes(batch) <= a.offset)
                << "buffers " << i << " and " << j;
        }
    }
}

TEST(PlaceBuffers, RandomLifetimesNeverOverlap) {
    SplitMix64 random(5);
    for (int round = 0; round < 200; ++round) {
        std::vector<PlannedBuffer> buffers(static_cast<size_t>(random.integer(1, 60)));
        const int64_t batch = random.integer(1, 5);
        for (PlannedBuffer& b : buffers) {
            b.shape = {1, random.integer(1, 9), random.integer(1, 9), random.integer(1, 40)};
            b.copies = static_cast<int>(random.integer(1, 3));
            b.dtype = random.integer(0, 3) == 0 ? DType::U8 : DType::F32;
            b.first = static_cast<int>(random.integer(-1, 50));
            b.last = b.first < 0 ? -1 : b.first + static_cast<int>(random.integer(0, 12));
        }
        const size_t total = place_buffers(buffers, batch);
        expect_disjoint(buffers, batch, total);
        EXPECT_GE(total, peak_of_live_bytes(buffers, batch));
    }
}

TEST(PlaceBuffers, NothingNeedsNothing) {
    std::vector<PlannedBuffer> none;
    EXPECT_EQ(place_buffers(none, 4), 0u);
    std::vector<PlannedBuffer> unused(3, PlannedBuffer{.shape = {1, 4, 4, 4}});
    EXPECT_EQ(place_buffers(unused, 4), 0u);
}

// Overwrites every byte that no live buffer holds at `step`. Buffers that begin with the step hold nothing
// yet.
void poison(const Plan& plan, const Buffer& arena, int64_t batch, int step, float value) {
    std::vector<std::pair<size_t, size_t>> live;
    for (size_t i = 0; i < plan.buffers.size(); ++i) {
        const PlannedBuffer& b = plan.buffers[i];
        const bool holds = b.first < step || static_cast<BufferId>(i) == plan.input;
        if (b.first >= 0 && holds && step <= b.last) live.emplace_back(b.offset, b.offset + b.bytes(batch));
    }
    std::sort(live.begin(), live.end());
    live.emplace_back(plan.arena_bytes, plan.arena_bytes);
    auto* bytes = static_cast<std::byte*>(arena.data());
    size_t at = 0;
    for (const auto& [begin, end] : live) {
        for (; at + sizeof value <= begin; at += sizeof value) std::memcpy(bytes + at, &value, sizeof value);
        at = std::max(at, (end + 3) / 4 * 4);
    }
}

Evidence run_poisoned(Backend& backend, const Plan& plan, const Images& images, float value) {
    const Buffer arena = backend.allocate(plan.arena_bytes);
    const StepContext at{backend, plan, arena, images.n};
    poison(plan, arena, plan.max_batch, -1, value);
    backend.upload(images.pixels, at.view(plan.input));
    for (size_t i = 0; i < plan.steps.size(); ++i) {
        poison(plan, arena, plan.max_batch, static_cast<int>(i), value);
        plan.steps[i].run(at);
    }
    poison(plan, arena, plan.max_batch, static_cast<int>(plan.steps.size()), value);
    Evidence evidence;
    for (const Output& output : plan.outputs) {
        const View from = at.rows(output.buffer, output.copy);
        Matrix& to = output.target(evidence);
        to.rows = images.n;
        to.cols = from.shape.per_sample();
        to.values.resize(static_cast<size_t>(from.shape.size()));
        backend.download(from, to.values);
    }
    evidence.samples = images.n;
    return evidence;
}

class Arenas : public testing::TestWithParam<std::string> {};

TEST_P(Arenas, StepsReadOnlyWhatEarlierStepsWrote) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, GetParam());
        const Images images(2, 40, 32);
        for (const bool fused : {true, false}) {
            const Net list = fuse(net, {.enabled = fused, .keep_apart = {}});
            Request forward = everything(net), backward = everything(net);
            forward.backwards.clear();
            backward.activations.clear();
            for (const Request& request : {everything(net), forward, backward}) {
                const Plan plan = plan_passes(backend, list, request, 40, 32, 3);
                expect_disjoint(plan.buffers, plan.max_batch, plan.arena_bytes);
                EXPECT_LE(static_cast<double>(plan.arena_bytes),
                          1.3 * static_cast<double>(peak_of_live_bytes(plan.buffers, plan.max_batch)));
                const Evidence want = run(backend, net, request, images, {.fuse = fused, .micro_batch = 3});
                for (const float value : {std::numeric_limits<float>::quiet_NaN(), 3e37f})
                    expect_same_evidence(backend, run_poisoned(backend, plan, images, value), want);
            }
        }
    });
}

INSTANTIATE_TEST_SUITE_P(All, Arenas, testing::ValuesIn(families()), [](const auto& p) { return p.param; });

}  // namespace
}  // namespace gs::test
