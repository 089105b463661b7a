// Flags of `gradscore train`, free of any command-line library.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/commands.h"
#include "train/recipe.h"

namespace gs {

struct TrainFlags {
    std::string recipe;         // a built-in one's name, or a file
    bool list_recipes = false;  // and nothing else
    // Fields of the recipe that are given by hand, keys of train::recipe_fields().
    std::vector<std::pair<std::string, std::vector<std::string>>> fields;
    std::string weights, device = "auto", precision = "f32";
    int threads = 0;
    std::string id, validate;
    std::vector<std::string> auxiliary;
    std::optional<int64_t> limit;
    int64_t max_pixels = 178'956'970;
    std::string out;
    bool resume = false, force = false, strict = false, quiet = false, pth = false;
    bool cache_features = false;  // the head's input, computed once, without augmentation
    double checkpoint_minutes = 10;
    int64_t log_every = 50;  // steps
};

int run_train(const TrainFlags& flags);
int run_list_recipes();

// The recipe that the flags name, with the fields that they give laid over it. Throws Error(Usage).
train::Recipe read_recipe(const TrainFlags& flags);

}  // namespace gs
