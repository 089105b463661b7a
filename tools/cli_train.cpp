// The flags of gradscore train: its own, and one for every field of a recipe.
#include "tools/cli_flags.h"

namespace gs {
namespace {

// What is given lands in flags.fields, in the order of the recipe's table; values are checked there.
void add_fields(CLI::App& app, TrainFlags& flags) {
    for (const train::RecipeField& field : train::recipe_fields()) {
        const std::string key(field.key);
        const CLI::callback_t keep = [&flags, key](const CLI::results_t& values) {
            flags.fields.emplace_back(key, values);
            return true;
        };
        CLI::Option* option = app.add_option("--" + key, keep, std::string(field.what));
        option->group("Fields of the recipe, in place of its own");
        const bool is_list = field.kind == train::FieldKind::List;
        option->type_name(is_list ? "A,B,…" : field.kind == train::FieldKind::Text ? "TEXT" : "VALUE");
        if (is_list)
            option->expected(1, CLI::detail::expected_max_vector_size)->delimiter(',')->take_all();
        else
            option->take_last();
    }
}

}  // namespace

void add_train(CLI::App& app, TrainFlags& f) {
    auto* recipe = app.add_option("recipe", f.recipe, "a built-in recipe's name, or a recipe file (TOML)");
    auto* list = app.add_flag("--list-recipes", f.list_recipes, "the built-in recipes");
    recipe->excludes(list);
    app.add_option("--weights", f.weights, "weights to start from, for --init weights");
    app.add_option(
        "--id", f.id,
        "training images with labels, NAME=KIND:PATH; kinds: folder, list, cifar10, cifar100, svhn");
    app.add_option("--validate", f.validate, "images to measure accuracy on after each epoch");
    add_repeated(app, "--auxiliary", f.auxiliary,
                 "unlabelled images, for energy margins; may be given many times; tiny-images:FILE:skip=LIST "
                 "leaves the listed numbers out");
    app.add_option("--out", f.out, "the run's folder");
    app.add_flag("--resume", f.resume, "go on from the checkpoint in --out; same flags, weights and images");
    app.add_flag("--force", f.force, "move an old run in --out aside");
    app.add_option("--checkpoint-minutes", f.checkpoint_minutes,
                   "a checkpoint at least this often, beside that of every epoch")
        ->capture_default_str();
    app.add_option("--log-every", f.log_every, "write a line to log.jsonl every N steps")
        ->capture_default_str();
    app.add_flag("--pth", f.pth, "write weights for PyTorch (.pth), too");
    app.add_flag(
        "--cache-features", f.cache_features,
        "with --open-blocks 0: run the net once over the images, without augmentation, and train the "
        "head on its features");
    app.add_option("--limit", f.limit, "only N images of each set, drawn from it; always the same ones");
    app.add_option("--max-pixels", f.max_pixels, "larger images are refused")->capture_default_str();
    app.add_flag("--strict", f.strict, "stop at the first image that cannot be used");
    app.add_flag("--quiet", f.quiet, "no progress");
    app.add_option("--device", f.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
    app.add_option("--precision", f.precision, "f32")->capture_default_str();
    app.add_option("--threads", f.threads, "0: every core this process may use")->capture_default_str();
    add_fields(app, f);
}

}  // namespace gs
