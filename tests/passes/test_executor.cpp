// Micro-batches, sizes, memory: how a plan is run changes no bit, and nothing is allocated once it runs.
#include "tests/passes/allocations.h"
#include "tests/passes/support.h"
#include "tests/support/failure.h"

namespace gs::test {
namespace {

class Executors : public testing::TestWithParam<std::string> {};

TEST_P(Executors, MicroBatchesChangeNoBit) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, GetParam());
        const Images images(5, 32, 32);
        const Evidence want = run(backend, net, everything(net), images, {.micro_batch = 5});
        for (const int64_t micro_batch : {0, 1, 3, 64})
            expect_same_evidence(
                backend, run(backend, net, everything(net), images, {.micro_batch = micro_batch}), want);
        Executor executor(backend, net, everything(net), {.micro_batch = 3});
        for (int repeat = 0; repeat < 2; ++repeat) expect_same_evidence(backend, run(executor, images), want);
    });
}

TEST_P(Executors, KnowingTheNextImagesChangesNoBit) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, GetParam());
        const Images images(5, 32, 32, 1), next(4, 32, 32, 2), others(2, 32, 32, 3);
        const auto evidence = [&](const Images& of) {
            return run(backend, net, everything(net), of, {.micro_batch = 2});
        };
        Executor executor(backend, net, everything(net), {.micro_batch = 2});
        const auto announcing = [&](const Images& now, const Images& then) {
            return executor.run(now.pixels, now.n, now.h, now.w, then.pixels);
        };
        expect_same_evidence(backend, announcing(images, next), evidence(images));
        expect_same_evidence(backend, announcing(next, others), evidence(next));
        expect_same_evidence(backend, announcing(others, next), evidence(others));
        expect_same_evidence(backend, announcing(images, images), evidence(images));  // others than announced
    });
}

// As many allocations for six micro-batches as for two: those are the evidence's. oneDNN allocates a few
// times in every call of its own; there the count must not grow, nor be larger where own kernels take some of
// its calls.
TEST_P(Executors, NothingIsAllocatedInTheSteadyState) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "allocations are the sanitizer's here";
#endif
    std::map<std::string, size_t> growth;
    for (const BackendUnderTest& b : backends_under_test()) {
        if (b.name.starts_with("cuda")) continue;  // what its driver allocates is not ours
        SCOPED_TRACE("backend " + b.name);
        const Net net = family_net(*b.backend, GetParam());
        const Images two(2, 32, 32), six(6, 32, 32);
        Executor executor(*b.backend, net, everything(net), {.micro_batch = 1});
        const auto count = [&](const Images& images) {
            const size_t before = allocation_count();
            const Evidence e = run(executor, images);
            EXPECT_EQ(e.samples, images.n);
            return allocation_count() - before;
        };
        count(six);
        const size_t small = count(two), large = count(six);
        EXPECT_GT(small, 0u);
        EXPECT_EQ(count(six), large);
        growth[b.name] = large - small;
    }
    if (growth.contains("cpu")) {
        EXPECT_EQ(growth.at("cpu"), 0u);
    }
    if (growth.contains("cpu-onednn") && growth.contains("cpu-default")) {
        EXPECT_LE(growth.at("cpu-default"), growth.at("cpu-onednn"));
    }
}

// Nor by operations of the backend's own that other threads share: an exception there would end the program.
TEST(OwnConvolutions, AllocateNothingOnceTheyRan) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "allocations are the sanitizer's here";
#endif
    const auto backend = make_cpu_backend_with(1, false);
    const Shape map{2, 6, 5, 100};
    const Buffer x = backend->upload(random_values(map.size(), Fill::Normal, 1)),
                 y = backend->upload(random_values(map.size(), Fill::Normal, 2));
    for (const int64_t groups : {1, 100}) {
        const ConvSpec spec{100, 100, 3, 3, 1, 1, groups};
        const auto convolution =
            backend->make_convolution(spec, random_values(weight_shape(spec).size(), Fill::Normal, 3), {});
        const Buffer dw = backend->allocate(static_cast<size_t>(weight_shape(spec).size()) * sizeof(float));
        const auto run = [&] {
            convolution->forward(x.view(map), y.view(map), Activation::None);
            convolution->backward_data(y.view(map), x.view(map));
            convolution->backward_weights(x.view(map), y.view(map), dw.view(weight_shape(spec)));
        };
        run();
        const size_t before = allocation_count();
        run();
        EXPECT_EQ(allocation_count() - before, 0u) << groups << " groups";
    }
}

INSTANTIATE_TEST_SUITE_P(All, Executors, testing::ValuesIn(families()),
                         [](const auto& p) { return p.param; });

TEST(ExecutorMemory, MicroBatchFollowsTheCache) {
    Backend& backend = *backends_under_test().front().backend;
    const Net net = family_net(backend, "cifar_openood");
    const Request request{.logits = true};
    const size_t one = Executor(backend, net, request, {.micro_batch = 1}).plan(32, 32).arena_bytes;
    EXPECT_EQ(Executor(backend, net, request, {.working_set = WorkingSet{.cache_bytes = 5 * one}})
                  .plan(32, 32)
                  .max_batch,
              5);
    EXPECT_EQ(
        Executor(backend, net, request, {.working_set = WorkingSet{.cache_bytes = 1}}).plan(32, 32).max_batch,
        1);
    EXPECT_EQ(Executor(backend, net, request,
                       {.working_set = WorkingSet{.cache_bytes = size_t{1} << 40, .most_images = 9}})
                  .plan(32, 32)
                  .max_batch,
              9);
}

// Maps of more elements than a backend indexes are made in parts, whatever batch is asked for.
TEST(ExecutorMemory, MicroBatchFollowsTheLargestMap) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, "cifar_openood");
        const Request request{.logits = true};
        Executor whole(backend, net, request, {.micro_batch = 5});
        int64_t largest = 0;
        for (const PlannedBuffer& map : whole.plan(32, 32).buffers)
            largest = std::max(largest, map.copies * map.shape.per_sample());
        ASSERT_GT(largest, 0);
        Executor parts(backend, net, request,
                       {.micro_batch = 5, .working_set = WorkingSet{.most_elements = 3 * largest - 1}});
        EXPECT_EQ(parts.plan(32, 32).max_batch, 2);
        const Images images(5, 32, 32);
        EXPECT_EQ(run(parts, images).logits.values, run(whole, images).logits.values);
        EXPECT_EQ(Executor(backend, net, request, {.working_set = WorkingSet{.most_elements = 1}})
                      .plan(32, 32)
                      .max_batch,
                  1);
    });
}

#ifndef __SANITIZE_ADDRESS__  // its allocator ends the program instead
TEST(ExecutorMemory, SmallerImagesStillRunAfterTooLargeOnes) {
    on_all_backends([](Backend& backend) {
        const Net net = family_net(backend, "cifar_openood");
        Executor executor(backend, net, {.logits = true});
        const Images images(2, 32, 32);
        const Evidence want = run(executor, images);
        constexpr int64_t kAbsurd = int64_t{1} << 22;
        EXPECT_NE(failure_of(ErrorKind::Device, [&] { executor.run({}, 0, kAbsurd, kAbsurd); }), "no error");
        expect_same_evidence(backend, run(executor, images), want);
    });
}
#endif

// On the CPU, where it is there: a GPU's libraries would look for algorithms for every size.
TEST(ExecutorMemory, MoreSizesThanPlansAreKept) {
    Backend& backend = *backends_under_test().back().backend;
    const Net net = family_net(backend, "cifar_openood");
    Executor executor(backend, net, {.logits = true});
    for (int64_t w = 8; w < 90; ++w) {
        const Images images(1, 8, w);
        const Evidence e = run(executor, images);
        if (w % 27 == 0) expect_same_evidence(backend, e, run(backend, net, {.logits = true}, images));
    }
}

// The largest published job: BiT-R101x1 at 480 x 480, forward only.
TEST(ExecutorMemory, BitR101FitsItsBudget) {
    Backend& backend = *backends_under_test().back().backend;
    const Net net = build_random_net(backend, "bit-r101x1", 1000, 1);
    const Request request{.logits = true, .features = true};
    Executor eight(backend, net, request, {.micro_batch = 8}), chosen(backend, net, request);
    EXPECT_NEAR(eight.plan(480, 480).flops(Step::Phase::Forward) / 1e9, 71.6, 0.1);
    const auto mebibytes = [](size_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
    const double all = mebibytes(eight.plan(480, 480).arena_bytes),
                 few = mebibytes(chosen.plan(480, 480).arena_bytes);
    RecordProperty("arena_mib_batch_8", std::to_string(all));
    RecordProperty("arena_mib_micro_batch", std::to_string(few));
    std::printf(
        "[ memory   ] BiT-R101x1 480x480: arena %.0f MiB for 8 at once, %.0f MiB in micro-batches of %d\n",
        all, few, static_cast<int>(chosen.plan(480, 480).max_batch));
    EXPECT_LT(all, 600);
}

}  // namespace
}  // namespace gs::test
