// What a run's journal costs (tools/run_journal.h): a batch's record put together, hashed and written, and
// now and then synced to the disk. The file lies in TMPDIR or /tmp: name a folder on the disk that runs lie
// on.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/byte_codec.h"
#include "core/journal.h"

namespace gs {
namespace {

// As much as the record of a batch holds: index, SHA-256, prediction and eight scores of each image; with
// arrays, logits of 10 classes and 512 features, too (--save on CIFAR ResNet-34).
std::vector<std::byte> record_of(size_t images, bool arrays) {
    ByteEncoder out;
    out.text("score figures");
    const std::vector<int64_t> indices(images, 7);
    const std::vector<double> scores(images, 0.123);
    out.numbers(std::span<const int64_t>(indices));
    for (size_t i = 0; i < images; ++i) out.text(std::string(64, 'a'));
    out.numbers(std::span<const int64_t>(indices));
    for (int method = 0; method < 8; ++method) out.numbers(std::span<const double>(scores));
    const std::vector<float> kept(images * (10 + 512), 1.f);
    if (arrays) out.numbers(std::span<const float>(kept));
    return out.take();
}

std::filesystem::path place() {
    return std::filesystem::temp_directory_path() / "gradscore-bench-journal";
}

void BM_Batch(benchmark::State& state) {
    JournalWriter journal(place(), {});
    for (auto _ : state) journal.append(record_of(static_cast<size_t>(state.range(0)), state.range(1) != 0));
    state.SetItemsProcessed(state.iterations() * state.range(0));
    std::filesystem::remove(place());
}
BENCHMARK(BM_Batch)->ArgNames({"images", "arrays"})->ArgsProduct({{8, 64}, {0, 1}})->UseRealTime();

// Of what five seconds at 800 images/s have left.
void BM_Sync(benchmark::State& state) {
    JournalWriter journal(place(), {});
    for (auto _ : state) {
        state.PauseTiming();
        for (int i = 0; i < 500; ++i) journal.append(record_of(8, state.range(0) != 0));
        state.ResumeTiming();
        journal.sync();
    }
    std::filesystem::remove(place());
}
BENCHMARK(BM_Sync)
    ->ArgName("arrays")
    ->Arg(0)
    ->Arg(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(20);

}  // namespace
}  // namespace gs

BENCHMARK_MAIN();
