// The product of a weight gradient and the norm of its tile while that is in registers. Compiled with
// contraction on: multiply and add fuse.
#include "cpu/kernels/declarations.h"
#include "cpu/kernels/gemm.h"
#include "cpu/kernels/reduction.h"

namespace gs::cpu::GS_ISA {
namespace {

struct Keep {};
template <RowNorm kKind>
struct Reduce {};

GS_INLINE void finish(const GradientPanel& panel, Keep, int64_t output, Vec left, Vec right) {
    Full::store(panel.c + output * panel.pitch, left);
    Full::store(panel.c + output * panel.pitch + kLanes, right);
}
// Columns that do not exist are 0 and change no norm.
template <RowNorm kKind>
GS_INLINE void finish(const GradientPanel& panel, Reduce<kKind>, int64_t output, Vec left, Vec right) {
    float* sums = panel.lanes + output * kLanes;
    Full::store(sums, combine<kKind>(combine<kKind>(Full::load(sums), left), right));
}

template <int kTileRows, class Finish>
GS_INLINE void run_tile(const GradientPanel& panel, int64_t first, Finish how) {
    Vec acc[kRows][2] = {};
    multiply<kTileRows>(panel.a + first * panel.positions, 1, kRows, panel.b, kColumns, panel.positions, acc);
    for (int r = 0; r < kTileRows; ++r) {
        if (panel.accumulate) {
            const float* c = panel.c + (first + r) * panel.pitch;
            acc[r][0] += Full::load(c);
            acc[r][1] += Full::load(c + kLanes);
        }
        finish(panel, how, first + r, acc[r][0], acc[r][1]);
    }
}

// The last rows: their run-time number as a compile-time one.
template <int kTileRows, class Finish>
void run_rest(const GradientPanel& panel, int64_t first, Finish how) {
    if constexpr (kTileRows > 0) {
        if (panel.outputs - first == kTileRows) return run_tile<kTileRows>(panel, first, how);
        run_rest<kTileRows - 1>(panel, first, how);
    }
}

template <class Finish>
void run(const GradientPanel& panel, Finish how) {
    int64_t first = 0;
    for (; first + kRows <= panel.outputs; first += kRows) run_tile<kRows>(panel, first, how);
    run_rest<kRows - 1>(panel, first, how);
}

template <RowNorm kKind>
void fold_all(float* lanes, int64_t outputs, double* totals) {
    for (int64_t o = 0; o < outputs; ++o, lanes += kLanes) {
        totals[o] = fold<kKind>(totals[o], Full::load(lanes));
        Full::store(lanes, Vec{});
    }
}

}  // namespace

void gradient_panel(const GradientPanel& panel) {
    if (panel.lanes == nullptr) return run(panel, Keep{});
    if (panel.norm == RowNorm::Absolute) return run(panel, Reduce<RowNorm::Absolute>{});
    if (panel.norm == RowNorm::Square) return run(panel, Reduce<RowNorm::Square>{});
    run(panel, Reduce<RowNorm::Largest>{});
}

void fold_lanes(float* lanes, int64_t outputs, RowNorm norm, double* totals) {
    if (norm == RowNorm::Absolute) return fold_all<RowNorm::Absolute>(lanes, outputs, totals);
    if (norm == RowNorm::Square) return fold_all<RowNorm::Square>(lanes, outputs, totals);
    fold_all<RowNorm::Largest>(lanes, outputs, totals);
}

}  // namespace gs::cpu::GS_ISA
