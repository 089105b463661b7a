// gradscore train: a recipe and sets of images become weights, in a folder that a stopped run can go on from.
#include <filesystem>
#include <iostream>

#include "core/files.h"
#include "core/join.h"
#include "core/printable.h"
#include "core/run_identity.h"
#include "report/text.h"
#include "tools/image_sets.h"
#include "tools/owned_folder.h"
#include "tools/score_run.h"
#include "tools/setup.h"
#include "tools/stored_preprocess.h"
#include "tools/training_run.h"
#include "tools/training_sets.h"

namespace gs {
namespace {

namespace fs = std::filesystem;
using train::Recipe;

// Whether a field given by hand changes training images in a way that evaluation does not follow: what a crop
// is taken of, for one (evaluation()).
bool augments(const std::string& key, const std::vector<std::string>& values, const Augmentation& all) {
    return (key == "flip" && values != std::vector<std::string>{"false"}) ||
           (key == "pad" && values != std::vector<std::string>{"0"}) ||
           (key == "resize" && all.resize && all.crop && *all.resize != *all.crop);
}

void check_flags(const TrainFlags& flags, const Recipe& recipe) {
    const auto require = [](bool condition, const std::string& otherwise) {
        if (!condition) throw Error(ErrorKind::Usage, otherwise);
    };
    require(!flags.id.empty(), "--id is required: the training images, NAME=KIND:PATH");
    require(!flags.out.empty(), "--out is required: the run's folder");
    const bool from_file = recipe.start == train::Start::Weights;
    require(!from_file || !flags.weights.empty(), "this recipe starts from weights: --weights FILE");
    require(from_file || flags.weights.empty(),
            "--weights: this recipe starts at random; --init weights starts from a file");
    require(!flags.cache_features || recipe.open_blocks == 0,
            "--cache-features: needs --open-blocks 0, where the head alone learns");
    require(!flags.cache_features || recipe.auxiliary_batch == 0,
            "--cache-features: keeps features of labelled images only, and 'auxiliary-batch' is above 0");
    for (const auto& [key, values] : flags.fields)
        require(!flags.cache_features || !augments(key, values, recipe.augmentation),
                "--" + key + ": --cache-features trains on images as they are evaluated");
    require(flags.checkpoint_minutes > 0, "--checkpoint-minutes: must be above 0");
    require(flags.log_every > 0, "--log-every: must be 1 or more");
}

RunIdentity identity_of(const Recipe& recipe, const WeightFile* weights, const TrainingSets& sets,
                        const TrainFlags& flags) {
    const auto images_of = [](const std::unique_ptr<ImageSet>& set) {
        return set_identity(set.get(), set ? set->size() : 0, ListedContents::Sample);
    };
    RunIdentity identity;
    for (const train::RecipeField& field : train::recipe_fields())
        identity[std::string(field.key)] = join(field.get(recipe), ",");
    identity["weights"] = weights != nullptr ? weights->sha256() : "";
    identity["images of --id"] = images_of(sets.images);
    identity["images of --validate"] = images_of(sets.validation);
    identity["images of --auxiliary"] = images_of(sets.auxiliary);
    identity["cache-features"] = flags.cache_features ? "true" : "";
    identity["log-every"] = std::to_string(flags.log_every);
    // Images that are too large are left out; .pth beside weights that another process wrote would be old.
    if (flags.max_pixels != TrainFlags{}.max_pixels)
        identity["max-pixels"] = std::to_string(flags.max_pixels);
    identity["pth"] = flags.pth ? "true" : "";
    return identity;
}

// A net's preprocessing with the recipe's normalisation.
Preprocess normalised(Preprocess preprocess, const Recipe& recipe) {
    if (recipe.mean) preprocess.mean = *recipe.mean;
    if (recipe.std) preprocess.std = *recipe.std;
    return preprocess;
}

// Of images that are evaluated: as the net's, at the size that it is trained with. A crop out of resized
// images (BiT: 480 of 512) is evaluated on whole ones of the crop's size.
Preprocess evaluation(Preprocess preprocess, const Recipe& recipe) {
    const Augmentation& training = recipe.augmentation;
    if (training.resize) {
        preprocess.short_side.reset();
        preprocess.resize = training.crop ? training.crop : training.resize;
    }
    if (training.crop) preprocess.crop = training.resize ? std::nullopt : training.crop;
    return preprocess;
}

// A crop for which every image is too small, as the net's preprocessing resizes them. (check_recipe knows
// those that the recipe resizes.)
void check_crop(const Augmentation& augmentation, const Preprocess& preprocess) {
    if (!augmentation.crop || augmentation.resize) return;
    const Size crop = *augmentation.crop;
    const bool too_large = preprocess.resize
                               ? !crop_fits(augmentation, *preprocess.resize)
                               : preprocess.short_side && std::min(crop.width, crop.height) >
                                                              *preprocess.short_side + 2 * augmentation.pad;
    if (too_large)
        throw Error(ErrorKind::Usage, "recipe: 'crop' is larger than the net's images with their padding (" +
                                          preprocess.describe() + "); a larger 'resize' or 'pad' makes room");
}

// What the first steps would complain of, or the last one of an epoch, whose batch is the smallest.
void check_sizes(train::Trainer& trainer, const Recipe& recipe, const Preprocess& preprocess,
                 const TrainingSets& sets, bool cache_features) {
    if (!cache_features) train::require_one_size(*sets.images, recipe, preprocess);
    const std::optional<Size> size = cache_features ? evaluation(preprocess, recipe).output_size()
                                                    : output_size(recipe.augmentation, preprocess);
    const int64_t images = sets.images->size(), rest = images % recipe.batch;
    const bool comes_to_rest = rest > 0 && recipe.steps >= train::steps_an_epoch(recipe, images);
    const int64_t smallest = (comes_to_rest ? rest : recipe.batch) + recipe.auxiliary_batch;
    if (size) trainer.check_size(std::min<int64_t>(smallest, 2), size->height, size->width);
    if (size && sets.auxiliary && sets.auxiliary->is_raw()) {
        const RawInput first = sets.auxiliary->raw(0, sets.auxiliary->bytes(0));
        if (first.width != size->width || first.height != size->height)
            throw Error(ErrorKind::Data,
                        sets.auxiliary->name() + ": auxiliary images are " + std::to_string(first.width) +
                            "x" + std::to_string(first.height) + ", the labelled ones " +
                            std::to_string(size->width) + "x" + std::to_string(size->height));
    }
    if (!cache_features) check_crop(recipe.augmentation, preprocess);
}

fs::path recipe_path(const fs::path& out) {
    return out / "recipe.toml";
}

// What the folder has to go on from; nothing of a run that is to begin.
std::optional<train::Checkpoint> earlier_checkpoint(const fs::path& out, const train::Checkpoint& now,
                                                    int64_t steps) {
    std::error_code error;
    if (!fs::exists(checkpoint_path(out), error)) {
        // A process that was killed before the first checkpoint leaves a recipe.
        if (fs::exists(recipe_path(out), error)) return {};
        throw Error(ErrorKind::Usage, "--resume " + out.string() + ": not a folder of gradscore train");
    }
    train::Checkpoint then = train::read_checkpoint(checkpoint_path(out));
    require_same_run(now.identity, then.identity, out.string());
    if (then.state.step > steps)
        throw Error(ErrorKind::Weights, checkpoint_path(out).string() + ": is of step " +
                                            std::to_string(then.state.step) + ", and the run has " +
                                            std::to_string(steps));
    for (const std::string& line : differences(now.circumstances, then.circumstances))
        say("notice: " + line + "; the weights' last bits may come out otherwise");
    return then;
}

void introduce(const train::Trainer& trainer, const Backend& backend, const TrainingRunOptions& options,
               const TrainingSets& sets) {
    const Recipe& r = options.recipe;
    if (r.loss == train::Loss::GroupSoftmax && !sets.images->class_names().empty())
        say("notice: " + sets.images->name() +
            ": folders number their labels by name, and groups number classes through the groups; list:FILE "
            "gives "
            "such labels");
    if (options.progress.quiet) return;
    say(name_of(trainer.architecture()) + " (" + std::to_string(r.classes) + " classes) on " +
        backend.description());
    say(grouped(sets.images->size()) + " images, " + grouped(r.steps) + " steps of " +
        std::to_string(r.batch) +
        (sets.auxiliary ? " and " + std::to_string(r.auxiliary_batch) + " of " +
                              grouped(sets.auxiliary->size()) + " auxiliary images"
                        : ""));
    say("training images: " + (options.cache_features ? "features of " + options.evaluation.describe()
                                                      : describe(r.augmentation, options.preprocess)));
    if (sets.auxiliary && sets.auxiliary->is_raw())
        say("notice: auxiliary images are float32 arrays, used as they are: no crop, flip or normalisation");
    if (sets.validation)
        say("validation images: " + options.evaluation.describe());
    else
        say("notice: no --validate; the best weights are not kept apart");
}

// An error after the run began: what is left of it, the checkpoint of step `saved`.
[[noreturn]] void rethrow_with_checkpoint(const Error& error, const fs::path& out,
                                          const std::optional<int64_t>& saved) {
    const std::string left =
        saved ? "; " + checkpoint_path(out).string() + " is of step " + std::to_string(*saved) : "";
    throw Error(error.kind(), error.what() + left);
}

// `score_flags`: what gradscore score needs to prepare images as the run evaluated them.
int report(const TrainingRun& run, bool complete, const TrainFlags& flags, const std::string& score_flags) {
    const train::RunState& state = run.state();
    if (!complete) {
        say("interrupted after step " + std::to_string(state.step) + "; --resume goes on from there");
        return static_cast<int>(ErrorKind::Interrupted);
    }
    std::cout << flags.out << "/last.safetensors: weights after " << grouped(state.step) << " steps\n";
    if (state.best_accuracy)
        std::cout << flags.out << "/best.safetensors: of epoch " << state.best_epoch << ", "
                  << percent(*state.best_accuracy) << " % of the validation images\n";
    if (!score_flags.empty())
        std::cout << "images are prepared with " << score_flags
                  << (flags.pth ? ": the .safetensors bring that to gradscore score, a .pth needs the flags\n"
                                : ": the weights bring that to gradscore score\n");
    return say_excluded(run.excluded(), "named when they were met");
}

}  // namespace

int run_train(const TrainFlags& flags) {
    if (flags.list_recipes) return run_list_recipes();
    Recipe recipe = read_recipe(flags);
    check_flags(flags, recipe);
    const Earlier earlier = earlier_run(flags.force, flags.resume);
    check_folder(flags.out, earlier, "--out");
    if (flags.precision != "f32")
        throw Error(ErrorKind::Usage, "--precision " + flags.precision + ": training computes in f32");
    NetFlags device;
    device.device = flags.device;
    device.precision = flags.precision;
    device.threads = flags.threads;
    device.deterministic = true;  // a resumed run ends with the same bytes
    device.plan_cache = "none";   // so nothing is measured
    const auto backend = make_backend(device);
    const TrainingSets sets = open_training_sets(flags, recipe);
    std::vector<const ImageSet*> lists;
    for (const auto* set : {&sets.images, &sets.auxiliary, &sets.validation})
        if (*set) lists.push_back(set->get());
    require_apart(flags.out, lists);
    if (earlier == Earlier::MoveAside) require_outside(flags.weights, flags.out, "--weights");
    recipe.classes = check_labels(*sets.images, recipe.classes);
    if (sets.validation) check_validation_labels(*sets.validation, recipe.classes);
    train::check_recipe(recipe);
    const std::string as_asked = train::to_toml(recipe);
    recipe = train::resolved(recipe, sets.images->size());
    std::optional<WeightFile> weights;
    if (recipe.start == train::Start::Weights) weights = read_weights(flags.weights);
    const WeightFile* file = weights ? &*weights : nullptr;
    train::Trainer trainer(*backend, file, recipe);

    const Preprocess usual = default_preprocess(trainer.architecture());
    const Preprocess preprocess = normalised(file ? stored_preprocess(*file, usual) : usual, recipe);
    check_sizes(trainer, recipe, preprocess, sets, flags.cache_features);

    train::Checkpoint start{.identity = identity_of(recipe, file, sets, flags),
                            .circumstances = {{"threads", std::to_string(resolve_threads(flags.threads))},
                                              {"backend", backend->description()},
                                              {"version", version()}},
                            .state = {},
                            .weights = {},
                            .optimiser = {}};
    const OwnedFolder folder(flags.out, earlier, "--out", "train");
    const std::optional<train::Checkpoint> then =
        folder.was_empty() ? std::nullopt : earlier_checkpoint(flags.out, start, recipe.steps);
    folder.prepare({});
    if (flags.resume && !then) say("notice: nothing to go on with in " + flags.out + "; beginning");
    if (then) {
        trainer.restore(then->weights, then->optimiser, then->state.step);
        start.state = then->state;
    } else {
        write_file_atomically(recipe_path(flags.out), as_asked);
    }
    catch_interrupts();
    const TrainingRunOptions options{.out = flags.out,
                                     .recipe_name = as_utf8(fs::path(flags.recipe).stem().string()),
                                     .recipe = recipe,
                                     .preprocess = preprocess,
                                     .evaluation = evaluation(preprocess, recipe),
                                     .threads = resolve_threads(flags.threads),
                                     .limits = {.max_pixels = flags.max_pixels},
                                     .checkpoint_minutes = flags.checkpoint_minutes,
                                     .log_every = flags.log_every,
                                     .strict = flags.strict,
                                     .pth = flags.pth,
                                     .cache_features = flags.cache_features,
                                     .progress = stderr_style(flags.quiet)};
    introduce(trainer, *backend, options, sets);
    std::optional<TrainingRun> run;
    try {
        run.emplace(trainer, sets, start, options);
        if (!then) run->checkpoint();
        const bool complete = run->run();
        return report(*run, complete, flags, flags_between(usual, options.evaluation));
    } catch (const Error& error) {
        std::optional<int64_t> saved = run ? run->saved_step() : std::nullopt;
        if (!saved && then) saved = then->state.step;
        rethrow_with_checkpoint(error, flags.out, saved);
    }
}

}  // namespace gs
