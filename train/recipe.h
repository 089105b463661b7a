// What a training run does, as data: a recipe file's fields (recipes/*.toml), each also a flag of `gradscore
// train`. Sources of the built-in recipes: docs/training.md.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/augment.h"

namespace gs::train {

// Steps, images and classes; nothing that anybody trains has more.
constexpr int64_t kMostCount = 1'000'000'000;

enum class Loss : uint8_t {
    CrossEntropy,   // mean over the batch of CE(z, y); with label_smoothing and mixup
    GroupSoftmax,   // MOS: sum over groups of the batch mean of CE(z_g, y_g); with mixup
    EnergyMargins,  // energy_ood: CE of the labelled images + energy_weight * (mean relu(E_in - margin_in)^2
                    // + mean relu(margin_out - E_out)^2), E = -logsumexp(z)
    BinaryCrossEntropy,  // one-vs-rest: mean over images and classes of softplus(z) - y z
};

enum class Schedule : uint8_t {
    Cosine,  // floor + (lr - floor) (1 + cos(pi s / steps)) / 2, s the step plus cosine_ahead, at most steps
    Staircase,  // lr / 10^k, k the number of drops strictly below the step
};

enum class Start : uint8_t { Weights, Random };  // from a file, or drawn from the seed

struct Recipe {
    std::string net = "resnet20-cifar";  // a published name (nets/architecture.h)
    int64_t classes = 10;                // labels 0 .. classes - 1; 0: as many as the training set's labels
    Start start = Start::Random;
    bool zero_head = false;    // the last layer's weight and bias set to 0 before the first step (BiT)
    int64_t open_blocks = -1;  // -1: everything is trained; 0: the head; k: BiT's last k blocks, their final
                               // norm and the head, but for unit01.gn1 of the first open block

    Loss loss = Loss::CrossEntropy;
    // GroupSoftmax: classes of each group; they add up to `classes`, labels count through the groups, and the
    // head has one more logit a group (docs/methods/mos.md).
    std::vector<int64_t> groups;
    double margin_in = -23, margin_out = -5, energy_weight = 0.1;  // EnergyMargins
    double label_smoothing = 0;                                    // CrossEntropy: this share spread evenly
    double mixup_alpha = 0;  // one lambda ~ Beta(alpha, alpha) a step; 0: none
    int64_t mixup_from = 0;  // no mixup with fewer training images than this
    double dropout = 0;      // WideResNet, between a block's convolutions

    double learning_rate = 0.1;
    double momentum = 0.9, weight_decay = 5e-4;  // decay of all parameters, as part of the gradient
    bool nesterov = true;
    Schedule schedule = Schedule::Cosine;
    int64_t warmup = 0;             // steps below this run at lr * step / warmup: 0 at step 0
    std::vector<int64_t> drops;     // Staircase, ascending
    double cosine_floor = 1e-6;     // Cosine: the learning rate at its end
    int64_t cosine_ahead = 0;       // 1: the schedule moves before the first step, as energy_ood's does
    bool schedule_by_size = false;  // BiT: warmup, drops and steps by the number of training images

    int64_t batch = 128;          // images a step; an epoch's last batch may be smaller
    int64_t auxiliary_batch = 0;  // EnergyMargins: unlabelled images a step, beside those
    int64_t epochs = 200;         // passes over the training set; where steps is 0
    int64_t steps = 0;            // ends after this many; 0: by epochs

    Augmentation augmentation;
    std::optional<std::array<float, 3>> mean, std;  // of the pixels in [0, 1]; absent: the net's own
    uint64_t seed = 0;  // of the weights drawn, the order of images, augmentation, mixup and dropout

    bool operator==(const Recipe&) const = default;
};

// How a field's values stand in TOML: a number, true or false; a text in quotes; numbers in brackets.
enum class FieldKind : uint8_t { Number, Text, List };

// One field: its key in a recipe file, which is also the flag --KEY. Values are texts, one but for lists.
struct RecipeField {
    std::string_view key, what;  // `what` is its line in --help
    FieldKind kind;
    // Throws Error(Usage) "'VALUE' is not …", without the key.
    void (*set)(Recipe& recipe, const std::vector<std::string>& values);
    std::vector<std::string> (*get)(const Recipe& recipe);
};
std::span<const RecipeField> recipe_fields();
// Sets the field `key` to `values`. Throws Error(Usage) "PLACE: 'KEY': …", also for keys that are none.
void set_field(Recipe& recipe, std::string_view key, const std::vector<std::string>& values,
               const std::string& place);

// A recipe file: TOML, keys without a table. `name` is the path in messages. Throws Error(Usage) with the
// line; fields are not checked against each other yet, since flags may follow.
Recipe read_recipe(std::string_view toml, const std::string& name);
// Every field, in the order of recipe_fields(); read_recipe() gives the same recipe back.
std::string to_toml(const Recipe& recipe);

// Throws Error(Usage) where fields contradict each other, such as a group softmax without groups, or nothing
// reads a field that differs from its default.
void check_recipe(const Recipe& recipe);
// Of a field that was given by hand: throws Error(Usage) "PLACE: 'KEY' …" where nothing reads it, though it
// be the default, unless that turns it off.
void require_read(const Recipe& recipe, std::string_view key, const std::string& place);
// What depends on the number of training images: schedule_by_size, mixup_from and epochs become warmup,
// drops, mixup_alpha and steps. After this, steps is above 0. Throws Error(Usage) where epochs come to more
// steps than kMostCount. Source: BiT's hyper rule, large_scale_ood utils/finetune_utils.py get_schedule,
// get_mixup.
Recipe resolved(const Recipe& recipe, int64_t images);
// Logits of the head: classes, and one more a group.
int64_t logit_count(const Recipe& recipe);

}  // namespace gs::train
