// The table of a recipe's fields, and how each is read and written.
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/join.h"
#include "core/numbers.h"
#include "train/recipe.h"

namespace gs::train {
namespace {

using Values = std::vector<std::string>;

[[noreturn]] void refuse(const std::string& value, const std::string& what) {
    throw Error(ErrorKind::Usage, "'" + value + "' is not " + what);
}

template <class Number>
Number parse(const std::string& text, const std::string& what) {
    const auto value = parse_number<Number>(text);
    if (!value) refuse(text, what);
    return *value;
}

int64_t parse_count(const std::string& text, int64_t least) {
    const std::string what = "a whole number from " + std::to_string(least) + " on";
    const auto value = parse<int64_t>(text, what);
    if (value < least || value > kMostCount) refuse(text, what);
    return value;
}

const std::string& single(const Values& values) {
    if (values.size() != 1) throw Error(ErrorKind::Usage, "needs one value");
    return values.front();
}

template <auto Member, int64_t Least = 0>
constexpr RecipeField count_field(std::string_view key, std::string_view what) {
    return {key, what, FieldKind::Number,
            [](Recipe& r, const Values& v) { r.*Member = parse_count(single(v), Least); },
            [](const Recipe& r) { return Values{shortest(r.*Member)}; }};
}

enum class Range : uint8_t { Any, NotNegative, BelowOne };

double parse_real(const std::string& text, Range range) {
    const char* what = range == Range::Any           ? "a number"
                       : range == Range::NotNegative ? "a number from 0 on"
                                                     : "a number from 0 to below 1";
    const auto value = parse<double>(text, what);
    const auto used = static_cast<float>(value);  // as the update and dropout take it
    if (!std::isfinite(used) || (range != Range::Any && value < 0) || (range == Range::BelowOne && used >= 1))
        refuse(text, what);
    return value;
}

template <auto Member, Range Allowed = Range::NotNegative>
constexpr RecipeField real_field(std::string_view key, std::string_view what) {
    return {key, what, FieldKind::Number,
            [](Recipe& r, const Values& v) { r.*Member = parse_real(single(v), Allowed); },
            [](const Recipe& r) { return Values{shortest(r.*Member)}; }};
}

bool parse_bool(const std::string& text) {
    if (text != "true" && text != "false") refuse(text, "true or false");
    return text == "true";
}

template <auto Member>
constexpr RecipeField bool_field(std::string_view key, std::string_view what) {
    return {key, what, FieldKind::Number,
            [](Recipe& r, const Values& v) { r.*Member = parse_bool(single(v)); },
            [](const Recipe& r) { return Values{r.*Member ? "true" : "false"}; }};
}

template <auto Member, int64_t Least>
constexpr RecipeField counts_field(std::string_view key, std::string_view what) {
    return {key, what, FieldKind::List,
            [](Recipe& r, const Values& v) {
                (r.*Member).clear();
                for (const std::string& text : v) (r.*Member).push_back(parse_count(text, Least));
            },
            [](const Recipe& r) {
                Values values;
                for (const int64_t value : r.*Member) values.push_back(shortest(value));
                return values;
            }};
}

// Names of an enumeration's values, in their order.
template <class Enum>
constexpr std::array<std::string_view, 0> kNames{};
template <>
constexpr std::array<std::string_view, 4> kNames<Loss>{"cross-entropy", "group-softmax", "energy-margins",
                                                       "binary-cross-entropy"};
template <>
constexpr std::array<std::string_view, 2> kNames<Schedule>{"cosine", "staircase"};
template <>
constexpr std::array<std::string_view, 2> kNames<Start>{"weights", "random"};

template <class Enum>
Enum parse_name(const std::string& text) {
    for (size_t i = 0; i < kNames<Enum>.size(); ++i)
        if (kNames<Enum>[i] == text) return static_cast<Enum>(i);
    refuse(text, "one of " + join(kNames<Enum>));
}

template <auto Member, class Enum>
constexpr RecipeField name_field(std::string_view key, std::string_view what) {
    return {
        key, what, FieldKind::Text,
        [](Recipe& r, const Values& v) { r.*Member = parse_name<Enum>(single(v)); },
        [](const Recipe& r) { return Values{std::string(kNames<Enum>[static_cast<size_t>(r.*Member)])}; }};
}

// "480" (a square), "480x320" (width x height) or "none".
std::optional<Size> parse_size(const std::string& text) {
    if (text == "none") return std::nullopt;
    const auto side = [&](const std::string& number) {
        const std::string what = "a size (32, 480x480 or none)";
        const auto value = parse<int64_t>(number, what);
        if (value < 1 || value > 65535) refuse(text, what);
        return value;
    };
    const size_t x = text.find('x');
    if (x == std::string::npos) return Size{side(text), side(text)};
    return Size{side(text.substr(0, x)), side(text.substr(x + 1))};
}

template <auto Member>
constexpr RecipeField size_field(std::string_view key, std::string_view what) {
    return {key, what, FieldKind::Text,
            [](Recipe& r, const Values& v) { r.augmentation.*Member = parse_size(single(v)); },
            [](const Recipe& r) {
                const std::optional<Size>& size = r.augmentation.*Member;
                return Values{size ? shortest(size->width) + "x" + shortest(size->height) : "none"};
            }};
}

std::optional<std::array<float, 3>> parse_pixels(const Values& values, bool may_be_zero) {
    if (values.empty() || values == Values{"none"}) return std::nullopt;
    if (values.size() != 3) throw Error(ErrorKind::Usage, "needs three numbers, one a colour");
    std::array<float, 3> triple{};
    for (size_t i = 0; i < 3; ++i) triple[i] = parse<float>(values[i], "a number");
    const std::string fault = fault_of_pixels(triple, may_be_zero);
    if (!fault.empty()) throw Error(ErrorKind::Usage, fault);
    return triple;
}

template <auto Member, bool MayBeZero>
constexpr RecipeField pixels_field(std::string_view key, std::string_view what) {
    return {key, what, FieldKind::List,
            [](Recipe& r, const Values& v) { r.*Member = parse_pixels(v, MayBeZero); },
            [](const Recipe& r) {
                Values values;
                if (r.*Member)
                    for (const float value : *(r.*Member)) values.push_back(shortest(value));
                return values;
            }};
}

constexpr RecipeField kNet{"net", "a published net's name, such as resnet34-cifar; auto: what --weights hold",
                           FieldKind::Text, [](Recipe& r, const Values& v) { r.net = single(v); },
                           [](const Recipe& r) { return Values{r.net}; }};

constexpr RecipeField kOpenBlocks{
    "open-blocks", "-1: everything is trained; 0: the head only; 1 to 4: BiT's last blocks, too",
    FieldKind::Number,
    [](Recipe& r, const Values& v) {
        const std::string what = "-1 to 4";
        const auto value = parse<int64_t>(single(v), what);
        if (value < -1 || value > 4) refuse(single(v), what);
        r.open_blocks = value;
    },
    [](const Recipe& r) { return Values{shortest(r.open_blocks)}; }};

constexpr RecipeField kPad{"pad", "black pixels on each side before the crop", FieldKind::Number,
                           [](Recipe& r, const Values& v) {
                               const int64_t pad = parse_count(single(v), 0);
                               if (pad > 65535) refuse(single(v), "a number of pixels");
                               r.augmentation.pad = pad;
                           },
                           [](const Recipe& r) { return Values{shortest(r.augmentation.pad)}; }};

constexpr RecipeField kFlip{"flip", "flip training images left to right, each with probability 1/2",
                            FieldKind::Number,
                            [](Recipe& r, const Values& v) { r.augmentation.flip = parse_bool(single(v)); },
                            [](const Recipe& r) { return Values{r.augmentation.flip ? "true" : "false"}; }};

constexpr RecipeField kSeed{
    "seed", "of weights drawn, order, augmentation, mixup and dropout", FieldKind::Number,
    [](Recipe& r, const Values& v) { r.seed = parse<uint64_t>(single(v), "a whole number from 0 on"); },
    [](const Recipe& r) { return Values{shortest(r.seed)}; }};

constexpr RecipeField kFields[] = {
    kNet,
    count_field<&Recipe::classes>("classes", "0: as many as the training set's labels"),
    name_field<&Recipe::start, Start>("init", "weights (of --weights) or random (drawn from --seed)"),
    bool_field<&Recipe::zero_head>("zero-head", "start from a head of zeros"),
    kOpenBlocks,
    name_field<&Recipe::loss, Loss>("loss",
                                    "cross-entropy, group-softmax, energy-margins or binary-cross-entropy"),
    counts_field<&Recipe::groups, 1>("groups", "classes of each group, for group-softmax"),
    real_field<&Recipe::margin_in, Range::Any>("margin-in", "energy margin of labelled images"),
    real_field<&Recipe::margin_out, Range::Any>("margin-out", "energy margin of auxiliary images"),
    real_field<&Recipe::energy_weight>("energy-weight", "of the energy margins beside the cross entropy"),
    real_field<&Recipe::label_smoothing, Range::BelowOne>("label-smoothing", "share spread over all classes"),
    real_field<&Recipe::mixup_alpha>("mixup-alpha", "lambda ~ Beta(alpha, alpha), one a step; 0: no mixup"),
    count_field<&Recipe::mixup_from>("mixup-from", "no mixup with fewer training images"),
    real_field<&Recipe::dropout, Range::BelowOne>("dropout",
                                                  "between the convolutions of a WideResNet's blocks"),
    real_field<&Recipe::learning_rate>("learning-rate", "the highest"),
    real_field<&Recipe::momentum, Range::BelowOne>("momentum", "of SGD"),
    bool_field<&Recipe::nesterov>("nesterov", "Nesterov's momentum"),
    real_field<&Recipe::weight_decay>("weight-decay", "of all parameters"),
    name_field<&Recipe::schedule, Schedule>("schedule", "cosine or staircase"),
    count_field<&Recipe::warmup>("warmup", "steps of linear warm-up"),
    counts_field<&Recipe::drops, 1>("drops", "staircase: a tenth of the rate after each of these steps"),
    real_field<&Recipe::cosine_floor>("cosine-floor", "cosine: the rate at its end"),
    count_field<&Recipe::cosine_ahead>("cosine-ahead", "cosine: steps by which the schedule is ahead"),
    bool_field<&Recipe::schedule_by_size>("schedule-by-size",
                                          "warm-up, drops and steps by the number of images (BiT)"),
    count_field<&Recipe::batch, 1>("batch", "images a step"),
    count_field<&Recipe::auxiliary_batch>("auxiliary-batch", "unlabelled images a step, for energy-margins"),
    count_field<&Recipe::epochs, 1>("epochs", "passes over the training set"),
    count_field<&Recipe::steps>("steps", "end after this many; 0: by epochs"),
    size_field<&Augmentation::resize>("resize",
                                      "of training images: 512x512, or none: as the net's preprocessing"),
    kPad,
    size_field<&Augmentation::crop>("crop", "random crop of training images, or none: the net's centre crop"),
    kFlip,
    pixels_field<&Recipe::mean, true>("mean", "of the pixels in [0, 1]; none: the net's"),
    pixels_field<&Recipe::std, false>("std", "of the pixels in [0, 1]; none: the net's"),
    kSeed,
};

}  // namespace

std::span<const RecipeField> recipe_fields() {
    return kFields;
}

}  // namespace gs::train
