#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace gs::train {

double learning_rate(const Recipe& recipe, int64_t step) {
    const double base = recipe.learning_rate;
    if (step < recipe.warmup) return base * static_cast<double>(step) / static_cast<double>(recipe.warmup);
    if (recipe.schedule == Schedule::Staircase) {
        double rate = base;
        for (const int64_t drop : recipe.drops)
            if (drop < step) rate /= 10;
        return rate;
    }
    GS_REQUIRE(recipe.steps > 0);
    const int64_t at = std::min(step + recipe.cosine_ahead, recipe.steps);  // beyond, it would rise again
    const double turn = static_cast<double>(at) / static_cast<double>(recipe.steps) * std::numbers::pi;
    return recipe.cosine_floor + (base - recipe.cosine_floor) * (1 + std::cos(turn)) / 2;
}

}  // namespace gs::train
