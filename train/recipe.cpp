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

bool is_energy(const Recipe& r) {
    return r.loss == Loss::EnergyMargins;
}
bool is_cosine(const Recipe& r) {
    return r.schedule == Schedule::Cosine;
}
bool is_staircase(const Recipe& r) {
    return r.schedule == Schedule::Staircase;
}
bool has_own_schedule(const Recipe& r) {
    return !r.schedule_by_size;
}

// Fields that only some recipes read.
struct Reader {
    std::string_view key;
    bool (*reads)(const Recipe& recipe);
    const char* otherwise;
    bool may_stay = false;  // a value for when it is read again: no contradiction
};
constexpr const char* kEnergyOnly = "is for loss = \"energy-margins\"";
constexpr Reader kReaders[] = {
    {"groups", [](const Recipe& r) { return r.loss == Loss::GroupSoftmax; },
     "are for loss = \"group-softmax\""},
    {"margin-in", is_energy, kEnergyOnly},
    {"margin-out", is_energy, kEnergyOnly},
    {"energy-weight", is_energy, kEnergyOnly},
    {"auxiliary-batch", is_energy, kEnergyOnly},
    {"label-smoothing", [](const Recipe& r) { return r.loss == Loss::CrossEntropy; },
     "is for loss = \"cross-entropy\""},
    {"mixup-alpha",
     [](const Recipe& r) { return r.loss == Loss::CrossEntropy || r.loss == Loss::GroupSoftmax; },
     "is for the losses cross-entropy and group-softmax"},
    {"mixup-from", [](const Recipe& r) { return r.mixup_alpha > 0; }, "needs 'mixup-alpha' above 0", true},
    {"dropout", [](const Recipe& r) { return r.open_blocks != 0; },
     "needs layers that learn, and 'open-blocks' 0 trains the head alone"},
    {"drops", is_staircase, "are for schedule = \"staircase\""},
    {"schedule-by-size", is_staircase, "is for schedule = \"staircase\""},
    {"warmup", has_own_schedule, "follows from the number of images where 'schedule-by-size' is true"},
    {"drops", has_own_schedule, "follow from the number of images where 'schedule-by-size' is true"},
    {"epochs", [](const Recipe& r) { return r.steps == 0 && has_own_schedule(r); },
     "is for recipes whose 'steps' is 0 and 'schedule-by-size' false", true},
    {"cosine-floor", is_cosine, "is for schedule = \"cosine\""},
    {"cosine-ahead", is_cosine, "is for schedule = \"cosine\""},
    {"pad", [](const Recipe& r) { return r.augmentation.crop.has_value(); }, "needs 'crop'"},
};

// Null where there is none of this key.
const RecipeField* find_field(std::string_view key) {
    const auto fields = recipe_fields();
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.key == key; });
    return field == fields.end() ? nullptr : &*field;
}

std::vector<std::string> values_of(const Recipe& recipe, std::string_view key) {
    const RecipeField* field = find_field(key);
    GS_REQUIRE(field != nullptr);
    return field->get(recipe);
}

bool has_default(const Recipe& recipe, std::string_view key) {
    return values_of(recipe, key) == values_of({}, key);
}

// A default that turns a field off: nothing is lost where it is not read.
bool is_off(std::string_view key) {
    const std::vector<std::string> values = values_of({}, key);
    return values.empty() || values.front() == "0" || values.front() == "false" || values.front() == "none";
}

void check_unread(const Recipe& recipe) {
    for (const Reader& reader : kReaders)
        if (!reader.may_stay && !reader.reads(recipe) && !has_default(recipe, reader.key))
            contradiction("'" + std::string(reader.key) + "' " + reader.otherwise);
}

void check_groups(const Recipe& recipe) {
    if (recipe.loss != Loss::GroupSoftmax) return;
    if (recipe.groups.empty())
        contradiction("loss = \"group-softmax\" needs 'groups', the classes of each group");
    const int64_t sum = std::accumulate(recipe.groups.begin(), recipe.groups.end(), int64_t{0});
    if (recipe.classes != 0 && sum != recipe.classes)
        contradiction("'groups' add up to " + std::to_string(sum) +
                      " classes, not to 'classes' = " + std::to_string(recipe.classes));
}

void check_schedule(const Recipe& recipe) {
    if (!std::is_sorted(recipe.drops.begin(), recipe.drops.end(), std::less_equal<>()))
        contradiction("'drops' must ascend");
    if (is_cosine(recipe) && recipe.cosine_floor > recipe.learning_rate)
        contradiction("'cosine-floor' is above 'learning-rate': the rate would rise");
    if (recipe.nesterov && recipe.momentum == 0) contradiction("'nesterov' needs 'momentum' above 0");
}

void check_augmentation(const Recipe& recipe) {
    const Augmentation& a = recipe.augmentation;
    if (a.resize && !crop_fits(a, *a.resize))
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
    const RecipeField* field = find_field(key);
    if (field == nullptr)
        throw Error(ErrorKind::Usage, at + " is no field of a recipe; those are " +
                                          join(recipe_fields(), ", ", &RecipeField::key));
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
        const bool is_text = field.kind == FieldKind::Text;
        const auto scalar = [&](const std::string& value) { return is_text ? toml_string(value) : value; };
        const std::string values = join(field.get(recipe), ", ", scalar);
        text += std::string(field.key) + " = " +
                (field.kind == FieldKind::List ? "[" + values + "]" : values) + '\n';
    }
    return text;
}

void require_read(const Recipe& recipe, std::string_view key, const std::string& place) {
    for (const Reader& reader : kReaders)
        if (reader.key == key && !reader.reads(recipe) && !(has_default(recipe, key) && is_off(key)))
            throw Error(ErrorKind::Usage, place + ": '" + std::string(key) + "' " + reader.otherwise);
}

void check_recipe(const Recipe& recipe) {
    check_unread(recipe);
    check_groups(recipe);
    if (is_energy(recipe) && recipe.auxiliary_batch == 0)
        contradiction("loss = \"energy-margins\" needs 'auxiliary-batch' above 0");
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
    if (result.steps > kMostCount)
        contradiction("'epochs' come to " + std::to_string(result.steps) + " steps, more than " +
                      std::to_string(kMostCount));
    return result;
}

int64_t logit_count(const Recipe& recipe) {
    return recipe.classes + static_cast<int64_t>(recipe.groups.size());
}

}  // namespace gs::train
