#include "train/recipe.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/error.h"
#include "core/join.h"
#include "core/toml.h"

namespace gs::train {
namespace {

[[noreturn]] void contradiction(const std::string& what) {
    throw Error(ErrorKind::Usage, "recipe: " + what);
}

void check_groups(const Recipe& recipe) {
    if (recipe.loss != Loss::GroupSoftmax) {
        if (!recipe.groups.empty()) contradiction("'groups' are for loss = \"group-softmax\"");
        return;
    }
    if (recipe.groups.empty())
        contradiction("loss = \"group-softmax\" needs 'groups', the classes of each group");
    const int64_t sum = std::accumulate(recipe.groups.begin(), recipe.groups.end(), int64_t{0});
    if (recipe.classes != 0 && sum != recipe.classes)
        contradiction("'groups' add up to " + std::to_string(sum) +
                      " classes, not to 'classes' = " + std::to_string(recipe.classes));
}

void check_loss(const Recipe& recipe) {
    const bool energy = recipe.loss == Loss::EnergyMargins;
    if (energy && recipe.auxiliary_batch == 0)
        contradiction("loss = \"energy-margins\" needs 'auxiliary-batch' above 0");
    if (!energy && recipe.auxiliary_batch > 0)
        contradiction("'auxiliary-batch' is for loss = \"energy-margins\"");
    if (recipe.mixup_alpha > 0 && recipe.loss != Loss::CrossEntropy && recipe.loss != Loss::GroupSoftmax)
        contradiction("mixup is for the losses cross-entropy and group-softmax");
    if (recipe.label_smoothing > 0 && recipe.loss != Loss::CrossEntropy)
        contradiction("'label-smoothing' is for loss = \"cross-entropy\"");
}

void check_schedule(const Recipe& recipe) {
    const bool staircase = recipe.schedule == Schedule::Staircase;
    if (!staircase && !recipe.drops.empty()) contradiction("'drops' are for schedule = \"staircase\"");
    if (!staircase && recipe.schedule_by_size)
        contradiction("'schedule-by-size' is for schedule = \"staircase\"");
    if (!std::is_sorted(recipe.drops.begin(), recipe.drops.end(), std::less_equal<>()))
        contradiction("'drops' must ascend");
    if (recipe.nesterov && recipe.momentum == 0) contradiction("'nesterov' needs 'momentum' above 0");
}

void check_augmentation(const Recipe& recipe) {
    const Augmentation& a = recipe.augmentation;
    if (a.pad > 0 && !a.crop) contradiction("'pad' needs 'crop'");
    if (a.resize && a.crop &&
        (a.crop->width > a.resize->width + 2 * a.pad || a.crop->height > a.resize->height + 2 * a.pad))
        contradiction("'crop' is larger than 'resize' with its padding");
    if (recipe.mean.has_value() != recipe.std.has_value()) contradiction("'mean' and 'std' go together");
}

// Warm-up, drops and end by the number of training images.
struct SizeRule {
    int64_t below;
    std::array<int64_t, 5> supports;
};
constexpr SizeRule kSizeRules[] = {
    {20'000, {100, 200, 300, 400, 500}},
    {500'000, {500, 3000, 6000, 9000, 10'000}},
    {std::numeric_limits<int64_t>::max(), {500, 6000, 12'000, 18'000, 20'000}},
};

}  // namespace

void set_field(Recipe& recipe, std::string_view key, const std::vector<std::string>& values,
               const std::string& place) {
    const std::string at = place + ": '" + std::string(key) + "'";
    const auto fields = recipe_fields();
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.key == key; });
    if (field == fields.end())
        throw Error(ErrorKind::Usage,
                    at + " is no field of a recipe; those are " + join(fields, ", ", &RecipeField::key));
    try {
        field->set(recipe, values);
    } catch (const Error& error) {
        throw Error(error.kind(), at + ": " + error.what());
    }
}

Recipe read_recipe(std::string_view toml, const std::string& name) {
    Recipe recipe;
    for (const TomlEntry& entry : read_toml(toml, name)) {
        const std::string place = name + ":" + std::to_string(entry.line);
        if (!entry.table.empty())
            throw Error(ErrorKind::Usage, place + ": a recipe has no tables such as [" + entry.table + "]");
        set_field(recipe, entry.key, entry.values, place);
    }
    return recipe;
}

std::string to_toml(const Recipe& recipe) {
    std::string text;
    for (const RecipeField& field : recipe_fields()) {
        const auto scalar = [&](const std::string& value) { return field.text ? toml_string(value) : value; };
        const std::string values = join(field.get(recipe), ", ", scalar);
        text += std::string(field.key) + " = " + (field.list ? "[" + values + "]" : values) + '\n';
    }
    return text;
}

void check_recipe(const Recipe& recipe) {
    check_groups(recipe);
    check_loss(recipe);
    check_schedule(recipe);
    check_augmentation(recipe);
}

Recipe resolved(const Recipe& recipe, int64_t images) {
    GS_REQUIRE(images > 0);
    Recipe result = recipe;
    if (images < recipe.mixup_from) result.mixup_alpha = 0;
    if (recipe.schedule_by_size) {
        const SizeRule& rule = *std::find_if(std::begin(kSizeRules), std::end(kSizeRules),
                                             [&](const SizeRule& r) { return images < r.below; });
        result.warmup = rule.supports.front();
        result.drops.assign(rule.supports.begin() + 1, rule.supports.end() - 1);
        if (recipe.steps == 0) result.steps = rule.supports.back();
    }
    if (result.steps == 0) result.steps = recipe.epochs * ((images + recipe.batch - 1) / recipe.batch);
    return result;
}

int64_t logits(const Recipe& recipe) {
    return recipe.classes + static_cast<int64_t>(recipe.groups.size());
}

}  // namespace gs::train
