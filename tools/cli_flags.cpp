#include "tools/cli_flags.h"

namespace gs {
namespace {

// The library takes "-1" for 18446744073709551615.
CLI::Option* add_seed(CLI::App& app, uint64_t& seed, const std::string& what) {
    const auto fault = [](const std::string& text) {
        return std::string(text.find('-') == std::string::npos ? "" : "must be 0 or more");
    };
    return app.add_option("--seed", seed, what)->capture_default_str()->check(fault, "");
}

void add_device_flags(CLI::App& app, NetFlags& flags) {
    app.add_option("--device", flags.device,
                   "auto (a GPU where there is one), cpu, cuda or cuda:N; score and track also take several, "
                   "cuda:0,1")
        ->capture_default_str();
    app.add_option("--plan-cache", flags.plan_cache,
                   "file of the convolutions measured on GPUs, or none; the user's cache folder by default")
        ->configurable(false);
    app.add_flag("--deterministic", flags.deterministic, "same bits on every run (on the CPU always so)");
    app.add_option("--precision", flags.precision,
                   "f32, or bf16: maps of bfloat16 where the processor multiplies them (tf32: CUDA only)")
        ->capture_default_str();
    app.add_option("--threads", flags.threads, "0: every core this process may use")->capture_default_str();
    app.add_option("--batch", flags.batch, "images at a time; 0: as many as stay in cache")
        ->capture_default_str()
        ->check(CLI::Range(0, 65536));
}

void add_net_flags(CLI::App& app, NetFlags& flags, bool weights_required) {
    auto* weights =
        app.add_option("--weights", flags.weights, "weights: .safetensors, .npz, .pth, .pth.tar, .pt, .th");
    if (weights_required) weights->required();
    app.add_option("--net", flags.net,
                   "auto (read off the weights) or a name such as bit-r101x1, resnet34-cifar")
        ->capture_default_str();
    app.add_option(
           "--arch", flags.arch,
           "JSON file that overrides fields the weights cannot tell (strides, pool_window, stem_pool)")
        ->needs(weights);
    add_device_flags(app, flags);
    app.add_flag("--allow-nonfinite", flags.allow_nonfinite, "use weights with NaN or infinite values");
    app.add_flag("--no-fuse", flags.no_fuse, "run every layer by itself (to compare)");
}

void add_image_run(CLI::App& app, ImageRunFlags& f) {
    add_net_flags(app, f.net, true);
    app.add_option("--id", f.id,
                   "in-distribution set, NAME=KIND:PATH; kinds: folder, list, cifar10, cifar100, svhn, "
                   "tiny-images, npy, synthetic");
    app.add_option("--resize", f.preprocess.resize, "256 (short side), 480x480 (width x height) or none");
    app.add_option("--crop", f.preprocess.crop, "centre crop: 224, 224x192 or none");
    app.add_option("--mean", f.preprocess.mean, "a,b,c of pixels from 0 to 1");
    app.add_option("--std", f.preprocess.std, "a,b,c of pixels from 0 to 1");
    app.add_flag("--pillow13", f.preprocess.pillow13,
                 "resize as Pillow 13 (vertical pass first on some portraits)");
    app.add_option("--limit", f.limit, "only the first N images of each set; results are not comparable");
    add_seed(app, f.seed, "of synthetic images");
    app.add_option("--max-pixels", f.max_pixels, "larger images are refused")->capture_default_str();
    app.add_flag("--strict", f.strict, "stop at the first image that cannot be used");
    app.add_flag("--quiet", f.quiet, "no progress")->configurable(false);
}

void add_shard(CLI::App& app, ImageRunFlags& f) {
    app.add_option("--shard", f.shard,
                   "I/N, I from 0: only this part of each set, for several processes (gradscore merge)");
}

// What score and track share.
void add_scoring(CLI::App& app, ScoreFlags& f) {
    add_image_run(app, f);
    add_shard(app, f);
    add_repeated(app, "--ood", f.ood, "out-of-distribution set, NAME=KIND:PATH; may be given many times");
    app.add_option("--out", f.out, "the run's folder");
    app.add_option("--stats", f.stats, "statistics file of gradscore fit, for methods that need a fit");
    app.add_flag("--allow-fit-on-test", f.allow_fit_on_test,
                 "score images that the statistics were fitted on; results are marked");
    add_repeated(
        app, "--reuse", f.reuse,
        "run folder whose saved arrays may be read instead of running the net; may be given many times");
    app.add_flag("--resume", f.resume,
                 "go on with the unfinished run in --out, or begin where there is none; same flags, weights "
                 "and images")
        ->configurable(false);
    app.add_flag("--force", f.force, "move an old run in --out aside")->configurable(false);
    app.add_flag("--json", f.json, "results as JSON on stdout")->configurable(false);
}

}  // namespace

CLI::Option* add_repeated(CLI::App& app, const char* name, std::vector<std::string>& values,
                          const std::string& what) {
    return app.add_option(name, values, what)->allow_extra_args(false);
}

void add_score(CLI::App& app, ScoreFlags& f) {
    add_scoring(app, f);
    app.add_option("--methods", f.methods, "METHOD[:OPTION=VALUE…],… (gradscore --list-methods)")
        ->capture_default_str();
    add_repeated(app, "--save", f.save, "keep arrays: logits,features,taps,norms")->delimiter(',');
    auto* threshold = app.add_option("--threshold", f.threshold,
                                     "file of gradscore threshold: say of each --image whether it is "
                                     "in-distribution; no sets, no run folder")
                          ->configurable(false);
    app.add_option("--image", f.images, "image to judge, or several")->needs(threshold)->configurable(false);
    for (const char* of_runs : {"--id", "--ood", "--methods", "--out", "--save", "--reuse", "--limit",
                                "--shard", "--seed", "--resume", "--force"})
        threshold->excludes(app.get_option(of_runs));
    app.fallthrough();  // --config stands with the main program
}

void add_track(CLI::App& app, TrackFlags& f) {
    add_scoring(app, f.run);
    for (const char* needed : {"--id", "--out"}) app.get_option(needed)->required();
    const auto option = [&](const char* name, std::string& value, const char* what) {
        app.add_option(name, value, what)->capture_default_str()->configurable(false);
    };
    option("--loss", f.loss, "of a candidate label: ce, bce or energy (cross entropy and energy margin)");
    option("--margin", f.margin, "of --loss energy [-23]");
    option("--score", f.score, "over candidates: min, max, mean; or one candidate: pred, uniform");
    option("--form", f.form, "norm_single, or original_single (the last layer's gradient itself)");
    option("--layers", f.layers, "each (a column a layer, and their sum), or as gradnorm's [each]");
    option("--params", f.params,
           "weights, weights+norm (gamma and beta of the norms with them) or all (biases too)");
    option("--p", f.p, "exponent of the norm, or inf");
    option("--detector", f.detector, "of original_single: l2, l1 or cosine (needs --stats)");
}

void add_fit(CLI::App& app, FitFlags& f) {
    add_image_run(app, f);
    app.get_option("--id")->required();
    add_shard(app, f);
    app.add_option("--methods", f.methods, "METHOD[:OPTION=VALUE…],… that need a fit")->required();
    app.add_option("--out", f.out, "the statistics file, OUT.safetensors")->required();
    app.add_flag(
           "--resume", f.resume,
           "go on with the unfinished fit of OUT, or begin where there is none; same flags, weights and "
           "images")
        ->configurable(false);
    app.add_flag("--force", f.force, "move an old OUT aside, and an unfinished fit")->configurable(false);
}

void add_search(CLI::App& app, SearchFlags& f) {
    add_image_run(app, f);
    app.get_option("--id")->required();
    app.add_option("--stats", f.stats, "statistics file of gradscore fit")->required();
    add_repeated(app, "--ood", f.ood, "out-of-distribution validation set; may be given many times");
    app.add_option("--methods", f.methods, "METHOD[:OPTION=A/B…],…: values to try, or the method's own grid")
        ->capture_default_str();
    app.add_option("--out", f.out,
                   "of nac a JSON file, for --methods nac:search=FILE; of mahalanobis tuned statistics, "
                   "NAME.safetensors");
    app.add_flag("--allow-fit-on-test", f.allow_fit_on_test,
                 "search on images that the statistics were fitted on");
    app.add_flag(
           "--resume", f.resume,
           "go on with the unfinished search of --out, or begin where there is none; same flags, weights "
           "and images")
        ->needs(app.get_option("--out"))
        ->configurable(false);
    app.add_flag("--force", f.force, "move an old --out aside, and an unfinished search")
        ->configurable(false);
    app.add_flag("--json", f.json, "what was found as JSON on stdout")->configurable(false);
}

void add_merge(CLI::App& app, MergeFlags& f) {
    app.add_option("out", f.out, "merged file or run folder")->required();
    app.add_option("in", f.in, "statistics files, the shards of one fit, or run folders, those of one run")
        ->required();
    app.add_flag("--force", f.force, "move an old OUT aside");
    app.add_flag("--json", f.json, "of runs: results as JSON on stdout; of fits: what was merged");
    app.add_flag("--quiet", f.quiet, "say nothing");
}

void add_bench(CLI::App& app, BenchFlags& f) {
    add_net_flags(app, f.net, false);
    app.add_option("--methods", f.methods, "forward, or methods")->capture_default_str();
    app.add_option("--size", f.size, "side of the square images; default: the net's")
        ->check(CLI::Range(1, 8192));
    app.add_option("--images", f.images, "images a round")->capture_default_str();
    app.add_option("--rounds", f.rounds, "number of rounds; the median is reported")->capture_default_str();
    app.add_option("--classes", f.classes, "classes of the random net (0: the family's default)")
        ->capture_default_str()
        ->excludes(app.get_option("--weights"));
    add_seed(app, f.seed, "of random weights and images");
    app.add_flag("--json", f.json, "one JSON object on stdout");
    app.add_flag("--serve", f.serve,
                 "measure for every line \"run\" on stdin: a JSON object a line, one before them")
        ->excludes("--json");
}

void add_plan(CLI::App& app, PlanFlags& f) {
    add_net_flags(app, f.net, false);
    app.add_option("--methods", f.methods, "methods to plan for")->capture_default_str();
    app.add_option("--size", f.size, "side of the square images; default: the net's")
        ->check(CLI::Range(1, 8192));
    app.add_flag("--steps", f.steps, "print every step");
    app.add_flag("--json", f.json, "one JSON object on stdout");
}

void add_report(CLI::App& app, ReportFlags& f) {
    app.add_option("runs", f.runs, "run folders, shown side by side")->required();
    app.add_option("--out", f.out, "the page, one HTML file")->capture_default_str();
    auto* figures = app.add_option("--figures", f.figures,
                                   "folder for every chart as SVG [OUT without .html, and -figures]");
    app.add_flag("--no-figures", f.no_figures, "the page only")->excludes(figures);
    auto* thumbnails = app.add_option("--thumbnails", f.thumbnails, "hardest images of each set and method")
                           ->capture_default_str()
                           ->check(CLI::Range(0, 1000));
    app.add_flag("--no-thumbnails", f.no_thumbnails, "their names and scores only; no image is opened")
        ->excludes(thumbnails);
    app.add_option("--max-pixels", f.max_pixels, "larger images are not opened")->capture_default_str();
    app.add_flag("--force", f.force, "replace an old page and its figures");
    app.add_flag("--json", f.json, "what was written as JSON on stdout");
}

void add_reproduce(CLI::App& app, ReproduceFlags& f) {
    auto* table = app.add_option("table", f.table, "a table's name (--list) or a table file (JSON)");
    auto* list = app.add_flag("--list", f.list, "the built-in tables");
    table->excludes(list);
    add_repeated(app, "--data", f.data, "a set of the table, NAME=KIND:PATH; may be given many times");
    add_repeated(app, "--weights", f.weights, "[NAME=]FILE; NAME where the table has several nets");
    add_repeated(app, "--stats", f.stats, "[NAME=]FILE of gradscore fit; NAME where the table has several");
    add_repeated(app, "--method", f.methods, "run only the rows of these methods")->delimiter(',');
    app.add_option("--out", f.out, "folder for runs, reproduce.json, reproduce.md [reproduce-TABLE]");
    app.add_option("--limit", f.limit, "only the first N images of each set; nothing is comparable");
    app.add_flag("--dry-run", f.dry_run, "list what the table needs, check what was given, run nothing");
    app.add_flag("--allow-fit-on-test", f.allow_fit_on_test,
                 "also rows that learn from the images they score; they are labelled invalid");
    app.add_flag("--resume", f.resume,
                 "go on with the unfinished runs in --out; finished ones are used as they are");
    app.add_flag("--force", f.force, "move old runs in --out aside");
    app.add_flag("--json", f.json, "one JSON object on stdout");
    app.add_flag("--quiet", f.quiet, "no progress");
    add_device_flags(app, f.net);
}

void add_metrics(CLI::App& app, MetricsFlags& f) {
    app.add_option("run", f.run, "run folder")->required();
    app.add_flag("--json", f.json, "results as JSON on stdout");
}

void add_threshold(CLI::App& app, ThresholdFlags& f) {
    app.add_option("run", f.run, "run folder")->required();
    app.add_option("--method", f.method, "as written in the run; default: the run's only one");
    app.add_option("--tpr", f.tpr, "share of ID images to accept, above 0 and at most 1")
        ->capture_default_str();
    app.add_option("--out", f.out, "the threshold's file")->required();
    app.add_flag("--force", f.force, "replace an old file");
    app.add_flag("--json", f.json, "the file's content on stdout");
}

void add_inspect(CLI::App& app, InspectFlags& f) {
    app.add_option("file", f.file, "weights")->required();
    app.add_flag("--json", f.json, "one JSON object on stdout");
}

void add_convert(CLI::App& app, ConvertFlags& f) {
    app.add_option("in", f.in, "weights")->required();
    app.add_option("out", f.out, "OUT.safetensors, or OUT.pth: a PyTorch state dict")->required();
    app.add_flag("--force", f.force, "replace OUT");
    app.add_flag("--quiet", f.quiet, "say nothing");
}

void add_devices(CLI::App& app, bool& json) {
    app.add_flag("--json", json, "one JSON object on stdout");
}

}  // namespace gs
