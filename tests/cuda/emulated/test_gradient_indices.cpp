// The index maps of the kernels for gradient norms, enumerated: every element of every sum exactly once.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "cuda/kernels/gradient_epilogue.cuh"
#include "cuda/kernels/norm_plan.h"
#include "cuda/kernels/position_boxes.h"

namespace gs::cuda {
namespace {

TEST(Divisor, DividesLikeTheOperator) {
    for (const int64_t d :
         {1, 2, 3, 5, 7, 15, 16, 30, 57, 120, 225, 641, 65535, 1 << 20, (1 << 30) + 1, 2147483647})
        for (const int64_t q : {0, 1, 2, 3, 1000, 46341, 1 << 20})
            for (const int64_t off : {-1, 0, 1}) {
                const int64_t n = q * d + off;
                if (n < 0 || n >= int64_t{1} << 31) continue;
                EXPECT_EQ(Divisor(d).quotient(static_cast<int>(n)), n / d) << n << " / " << d;
            }
    EXPECT_EQ(Divisor(3).quotient(2147483647), 2147483647 / 3);
}

TEST(UnfoldedInput, FindsTheValueOfEveryColumnAtEveryPosition) {
    for (const ConvSpec& spec :
         {ConvSpec{3, 1, 7, 7, 2, 3, 1}, ConvSpec{2, 1, 3, 3, 1, 1, 1}, ConvSpec{4, 1, 1, 1, 2, 0, 1},
          ConvSpec{3, 1, 1, 5, 3, 2, 1}, ConvSpec{2, 1, 2, 2, 1, 0, 1}})
        for (const Shape& x : {Shape{1, 9, 7, spec.in_channels}, Shape{1, 5, 12, spec.in_channels}}) {
            const UnfoldedInput input(spec, x);
            const Shape y = spec.output_shape(x);
            ASSERT_EQ(input.positions, y.pixels());
            int s = 0;
            for (int64_t oh = 0; oh < y.h; ++oh)
                for (int64_t ow = 0; ow < y.w; ++ow, ++s) {
                    int k = 0;
                    for (int64_t kh = 0; kh < spec.kernel_h; ++kh)
                        for (int64_t kw = 0; kw < spec.kernel_w; ++kw)
                            for (int64_t c = 0; c < x.c; ++c, ++k) {
                                const int64_t ih = oh * spec.stride - spec.pad + kh,
                                              iw = ow * spec.stride - spec.pad + kw;
                                const bool inside = ih >= 0 && ih < x.h && iw >= 0 && iw < x.w;
                                ASSERT_EQ(UnfoldedColumn(input, k).at(input, input.corner(s)),
                                          inside ? (ih * x.w + iw) * x.c + c : -1)
                                    << "s " << s << " k " << k;
                            }
                    for (const int beyond : {0, 1, 100})
                        ASSERT_EQ(UnfoldedColumn(input, k + beyond).at(input, input.corner(s)), -1);
                }
        }
}

template <class T, int kColumns>
void expect_panel_covered() {
    for (const bool wide : {true, false}) {
        std::map<std::pair<int, int>, int> times;
        for (int thread = 0; thread < 256; ++thread) {
            const PanelThread<T, kColumns, 256> self(wide, thread);
            for (int row = self.row; row < 32; row += self.step)
                for (int i = 0; i < (wide ? self.kVector : 1); ++i) ++times[{row, self.column + i}];
        }
        EXPECT_EQ(times.size(), 32u * kColumns);
        for (const auto& [place, count] : times) ASSERT_EQ(count, 1) << place.first << ", " << place.second;
    }
}

TEST(Panel, IsLoadedOnceEverywhere) {
    expect_panel_covered<float, 64>();
    expect_panel_covered<float, 128>();
    expect_panel_covered<Bf16, 64>();
    expect_panel_covered<Bf16, 128>();
}

template <class Shape>
void expect_tile_covered() {
    std::set<std::pair<int, int>> seen;
    for (int thread = 0; thread < Shape::kThreads; ++thread) {
        threadIdx = {static_cast<unsigned>(thread), 0, 0};
        const TileThread<Shape> self;
        for (int m = 0; m < Shape::kM; ++m)
            for (int n = 0; n < Shape::kN; ++n)
                for (int i = 0; i < 4; ++i) {
                    EXPECT_TRUE(seen.insert({self.row(m, i), self.column(n, i)}).second);
                    EXPECT_EQ(self.row(m, i), self.row(m, i / 2 * 2)) << "two neighbours share a row";
                }
    }
    EXPECT_EQ(seen.size(), static_cast<size_t>(Shape::kO * Shape::kK));
    EXPECT_EQ(*seen.rbegin(), std::pair(Shape::kO - 1, Shape::kK - 1));
}

TEST(Tile, HasEveryValueOnce) {
    expect_tile_covered<TileShape<128, 128, 2, 4>>();
    expect_tile_covered<TileShape<64, 128, 2, 4>>();
    expect_tile_covered<TileShape<128, 64, 4, 2>>();
    expect_tile_covered<TileShape<128, 256, 8, 1>>();
}

struct Layer {
    const char* name;
    int64_t outputs, k, positions;
};
constexpr Layer kLayers[] = {{"BiT root", 64, 147, 57600},
                             {"BiT block 1, 1x1", 256, 64, 14400},
                             {"BiT block 1, 1x1 down", 64, 256, 14400},
                             {"BiT block 1, 3x3", 64, 576, 14400},
                             {"BiT block 2, 1x1", 512, 128, 3600},
                             {"BiT block 3, 3x3", 256, 2304, 900},
                             {"BiT block 4, 3x3", 512, 4608, 225},
                             {"BiT block 4, 1x1", 2048, 512, 225},
                             {"CIFAR conv1", 64, 27, 1024},
                             {"CIFAR layer 4", 512, 4608, 16},
                             {"odd", 130, 129, 4097},
                             {"one of everything", 1, 1, 1}};

void expect_everything_once(const Layer& layer, bool one_by_one) {
    const NormPlan plan(layer.outputs, layer.k, layer.positions, false, one_by_one, 132);
    EXPECT_LT((plan.tiles_o - 1) * plan.tile_o, layer.outputs);
    EXPECT_GE(plan.tiles_o * plan.tile_o, layer.outputs);
    EXPECT_LT((plan.tiles_k - 1) * plan.tile_k, layer.k);
    EXPECT_GE(plan.tiles_k * plan.tile_k, layer.k);
    EXPECT_LT(int64_t{plan.slices - 1} * plan.slice, layer.positions);
    EXPECT_GE(int64_t{plan.slices} * plan.slice, layer.positions);
    // Blocks: every (row, slice, tile) once, a row of tiles along k side by side.
    constexpr int64_t kFirst = 1, kRows = 4;
    const RowOrder order{.samples = 3, .cotangents = 2};
    std::vector<std::vector<int64_t>> tiles;
    for (unsigned b = 0; b < kRows * plan.slices * plan.tiles_o * plan.parts_k; ++b) {
        const TilePlace place(b, kFirst, order, plan);
        EXPECT_EQ(place.part, static_cast<int>(b) % plan.parts_k);
        EXPECT_TRUE(place.count >= 1 && (!one_by_one || place.count == 1));
        for (int t = 0; t < place.count; ++t)
            tiles.push_back({place.row, place.slice, place.tile_o, place.first_k + t});
    }
    std::vector<std::vector<int64_t>> want;
    for (const int64_t row : {3, 1, 4, 2})  // after row 0, the first cotangent of the first sample
        for (int slice = 0; slice < plan.slices; ++slice)
            for (int o = 0; o < plan.tiles_o; ++o)
                for (int k = 0; k < plan.tiles_k; ++k) want.push_back({row, slice, o, k});
    EXPECT_EQ(tiles, want);
}

TEST(NormPlan, EveryElementOfEverySumOnce) {
    for (const Layer& layer : kLayers) {
        SCOPED_TRACE(layer.name);
        for (const bool one_by_one : {false, true}) expect_everything_once(layer, one_by_one);
    }
}

TEST(NormPlan, WgmmaTakesOneTileABlock) {
    const NormPlan plan(256, 2304, 225, false, false, 132, true);
    EXPECT_EQ(plan.tile_o, 128);
    EXPECT_EQ(plan.tile_k, 256);
    EXPECT_EQ(plan.tiles_o, 2);
    EXPECT_EQ(plan.tiles_k, 9);
    EXPECT_EQ(plan.walk, 1);
    EXPECT_EQ(NormPlan(256, 2304, 900, true, false, 132, true).row_sums, NormPlan::RowSums::Together);
    EXPECT_EQ(NormPlan(1024, 256, 900, true, false, 132, true).row_sums, NormPlan::RowSums::OfTile);
}

TEST(PositionBoxes, EveryPositionOnceAndBeforeItsBoxsLastStep) {
    for (const auto& [h, w] : std::vector<std::pair<int, int>>{{1, 1},
                                                               {1, 900},
                                                               {1, 225},
                                                               {1, 1024},
                                                               {30, 30},
                                                               {15, 15},
                                                               {120, 120},
                                                               {60, 60},
                                                               {32, 32},
                                                               {8, 16},
                                                               {7, 19},
                                                               {13, 13},
                                                               {31, 5},
                                                               {500, 2}}) {
        const PositionBoxes boxes(h, w);
        SCOPED_TRACE(std::to_string(h) + " x " + std::to_string(w));
        EXPECT_EQ(boxes.size() % PositionBoxes::kStep, 0);
        EXPECT_LE(boxes.size(), PositionBoxes::kMost);
        std::map<std::pair<int, int>, int> times;
        int steps = 0;
        for (int h0 = 0; h0 < h; h0 += boxes.h)
            for (int w0 = 0; w0 < w; w0 += boxes.w) {
                steps += boxes.steps(h0, w0);
                EXPECT_GE(boxes.steps(h0, w0), 1);
                EXPECT_LE(boxes.steps(h0, w0) * PositionBoxes::kStep, boxes.size());
                for (int at = 0; at < boxes.steps(h0, w0) * PositionBoxes::kStep; ++at) {
                    const int row = h0 + at / boxes.w, column = w0 + at % boxes.w;
                    if (row < h && column < w) ++times[{row, column}];
                }
            }
        EXPECT_EQ(steps, boxes.all_steps());
        EXPECT_EQ(times.size(), static_cast<size_t>(h * w));
        for (const auto& [place, count] : times) ASSERT_EQ(count, 1) << place.first << ", " << place.second;
    }
}

TEST(PositionBoxes, WasteLittle) {
    const auto steps = [](int h, int w) { return PositionBoxes(h, w).all_steps(); };
    EXPECT_EQ(steps(30, 30), 57) << "900 positions in 912";
    EXPECT_EQ(steps(1, 900), 57);
    EXPECT_EQ(steps(15, 15), 15) << "225 in 240";
    EXPECT_EQ(steps(32, 32), 64);
    EXPECT_EQ(steps(16, 16), 16);
    EXPECT_EQ(steps(120, 120), 900);
    EXPECT_EQ(steps(60, 60), 225);
    EXPECT_EQ(PositionBoxes(30, 30).count(), 12) << "10 x 8";
    EXPECT_EQ(PositionBoxes(1, 900).count(), 12);
    EXPECT_EQ(PositionBoxes(15, 15).count(), 3) << "16 x 5";
    EXPECT_EQ(PositionBoxes(32, 32).count(), 14) << "16 x 5";
}

TEST(NormPlan, SmallMapsTileAfterTile) {
    const auto walk = [](int64_t k, int64_t positions, bool standardised) {
        return NormPlan(512, k, positions, standardised, false, 132).walk;
    };
    EXPECT_EQ(walk(4608, 16, false), 18) << "36 tiles in two blocks";
    EXPECT_EQ(walk(2304, 64, false), 6) << "18 tiles in three";
    EXPECT_EQ(walk(1152, 1024, false), 1);
    EXPECT_EQ(walk(4608, 16, true), 1) << "tiles that wait for each other are in different blocks";
}

TEST(NormPlan, SplitsLongLayersAlone) {
    for (const Layer& layer : kLayers) {
        const NormPlan plan(layer.outputs, layer.k, layer.positions, false, false, 132);
        EXPECT_EQ(plan.slices > 1, layer.positions >= 4096) << layer.name;
    }
    EXPECT_EQ(NormPlan(64, 147, 57600, true, false, 132).slices, 16);
    EXPECT_EQ(NormPlan(256, 64, 14400, true, false, 132).slice, 1600);
}

TEST(NormPlan, RowSumsOfStandardisedWeights) {
    using RowSums = NormPlan::RowSums;
    const auto row_sums = [](int64_t outputs, int64_t k, int64_t positions, int multiprocessors) {
        return NormPlan(outputs, k, positions, true, false, multiprocessors).row_sums;
    };
    EXPECT_EQ(NormPlan(64, 147, 100, false, false, 132).row_sums, RowSums::None);
    EXPECT_EQ(row_sums(512, 128, 3600, 132), RowSums::OfTile);
    EXPECT_EQ(row_sums(256, 2304, 900, 132), RowSums::Together);
    EXPECT_EQ(row_sums(512, 4608, 225, 36), RowSums::Together) << "36 tiles a row fit 36 multiprocessors";
    EXPECT_EQ(row_sums(512, 4608, 225, 35), RowSums::Twice);
    EXPECT_EQ(row_sums(64, 147, 57600, 132), RowSums::Gathered);
}

}  // namespace
}  // namespace gs::cuda
