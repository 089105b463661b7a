// gradscore score --threshold: is each of these images in- or out-of-distribution?
#include <algorithm>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/numbers.h"
#include "core/printable.h"
#include "report/text.h"
#include "report/threshold_json.h"
#include "scores/group_head.h"
#include "scores/softmax.h"
#include "scores/statistics.h"
#include "tools/batches.h"
#include "tools/commands.h"
#include "tools/run_folder.h"
#include "tools/score_run.h"
#include "tools/search_file.h"
#include "tools/seen_images.h"
#include "tools/setup.h"

namespace gs {
namespace {

struct Judgement {
    std::string path, reason;  // reason: why it could not be used, and the rest says nothing
    int64_t prediction = 0;
    double score = 0;
    bool in_distribution = false;
};

// A score means nothing to a threshold of other weights or another preprocessing.
void require_same(const Threshold& t, const std::string& file, const LoadedNet& loaded,
                  const Preprocess& preprocess, const ScoreFlags& flags) {
    if (loaded.net.weights_sha256 != t.weights_sha256)
        throw Error(ErrorKind::Weights, flags.net.weights + ": not the weights of " + file + " (SHA-256 " +
                                            loaded.net.weights_sha256 + ", there " +
                                            printable(t.weights_sha256) + ")");
    const auto differs = [&](const std::string& what, const std::string& own, const std::string& there,
                             const std::string& flag) {
        if (own != there)
            throw Error(ErrorKind::Usage, what + " '" + own + "' is not that of " + file + ", '" +
                                              printable(there, 300) + "'; give the same " + flag);
    };
    differs("net", loaded.net.name, t.net, "--net and --arch");
    differs("preprocessing", preprocess.describe(), t.preprocess,
            "--resize, --crop, --mean, --std, --pillow13");
    differs("precision", flags.net.precision, t.precision, "--precision");
}

std::unique_ptr<Score> score_of(const Threshold& t, const std::string& file, const ScoreContext& context) {
    std::vector<MethodSpec> specs = parse_methods(t.method.name);
    if (specs.size() != 1)
        throw Error(ErrorKind::Data,
                    file + ": method.name '" + printable(t.method.name) + "' is not one method");
    use_search_files(specs, {t.weights_sha256, t.net, t.preprocess, t.precision}, context.statistics);
    auto score = make_score(specs.front(), context);
    auto own = score->options(), there = t.method.options;
    const std::string stats = own["stats"];
    own.erase("stats");  // a path: the file itself is compared
    there.erase("stats");
    if (own != there)
        throw Error(ErrorKind::Usage, file + ": the options of " + t.method.name +
                                          " have other values in this version; make the threshold again");
    if ((stats.empty() ? "" : sha256_of_file(stats)) != t.statistics_sha256)
        throw Error(ErrorKind::Usage, "--stats " + stats + ": not the statistics file of " + file);
    return score;
}

// Puts what became of a batch into its places: images that were scored and images that could not be used.
void judge(const Batch& batch, const Evidence& evidence, const Score& score, double threshold,
           const ImageSet& images, std::vector<Judgement>& judged) {
    std::vector<double> scores(static_cast<size_t>(batch.count));
    if (batch.count > 0) compute_scores(score, evidence, scores);
    const GroupHead* head = score.group_head();
    for (size_t i = 0; i < scores.size(); ++i) {
        const auto logits = evidence.logits.row(static_cast<int64_t>(i));
        judged[static_cast<size_t>(batch.indices[i])] = {
            images.item(batch.indices[i]).path, "", head != nullptr ? head->predict(logits) : argmax(logits),
            scores[i], scores[i] >= threshold};
    }
    for (const LoadFailure& failure : batch.failures)
        judged[static_cast<size_t>(failure.index)] = {images.item(failure.index).path, failure.reason};
}

nlohmann::ordered_json to_json(const Judgement& image) {
    using Json = nlohmann::ordered_json;
    const bool used = image.reason.empty();
    return {{"path", image.path},
            {"prediction", used ? Json(image.prediction) : Json(nullptr)},
            {"score", used && std::isfinite(image.score) ? Json(image.score) : Json(nullptr)},
            {"in_distribution", used ? Json(image.in_distribution) : Json(nullptr)},
            {"reason", used ? Json(nullptr) : Json(image.reason)}};
}

void print_json(const Threshold& t, const std::vector<Judgement>& judged) {
    nlohmann::ordered_json json{
        {"method", t.method.name}, {"threshold", t.threshold}, {"tpr", t.tpr}, {"images", nullptr}};
    json["images"] = nlohmann::ordered_json::array();
    for (const Judgement& image : judged) json["images"].push_back(to_json(image));
    std::cout << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
}

void print_text(const std::vector<Judgement>& judged) {
    for (const Judgement& image : judged) {
        std::cout << printable(image.path, 4096);
        if (image.reason.empty()) {
            std::cout << "  class " << image.prediction << "  score " << shortest(image.score)
                      << (image.in_distribution ? "  in-distribution\n" : "  out-of-distribution\n");
        } else {
            std::cout << "  could not be used: " << printable(image.reason, 300) << '\n';
        }
    }
}

int exit_code(const std::vector<Judgement>& judged) {
    const auto unusable = std::count_if(judged.begin(), judged.end(),
                                        [](const Judgement& image) { return !image.reason.empty(); });
    if (unusable == 0) return 0;
    say(counted(unusable, "image") + " could not be used");
    return kSomeExcluded;
}

}  // namespace

int run_judge(const ScoreFlags& flags) {
    if (flags.images.empty()) throw Error(ErrorKind::Usage, "--threshold: give the images with --image FILE");
    const Threshold threshold = read_threshold(flags.threshold);
    const auto backend = make_backend(flags.net);
    const LoadedNet loaded = load_net(*backend, flags.net);
    const Preprocess preprocess = resolve_preprocess(loaded.net.preprocess, flags.preprocess);
    require_same(threshold, flags.threshold, loaded, preprocess, flags);
    StatisticsStore statistics(flags.stats, computation_of(loaded.net, preprocess, flags.net.precision));
    const auto score = score_of(threshold, flags.threshold, {loaded.net, preprocess, &statistics});
    if (!flags.stats.empty() && !score->options().contains("stats"))
        say("notice: --stats " + flags.stats + ": " + threshold.method.name + " does not read it");
    if (!flags.quiet)
        for (const std::string& notice : loaded.notices) say("notice: " + notice);

    Request request{.logits = true};  // predictions
    request.merge(score->request());
    Executor executor(*backend, loaded.net, request,
                      {.fuse = !flags.net.no_fuse, .micro_batch = flags.net.batch});
    const auto images = open_image_files(flags.images);
    std::vector<Judgement> judged(flags.images.size());
    const auto each = [&](const Batch& batch, const Evidence& evidence) {
        if (flags.strict && !batch.failures.empty())
            throw strict_error(images->item(batch.failures.front().index).path,
                               batch.failures.front().reason);
        if (!flags.allow_fit_on_test) require_unseen(statistics, *images, batch.indices, batch.digests);
        judge(batch, evidence, *score, threshold.threshold, *images, judged);
    };
    run_batches(executor, *images, preprocess,
                {.batch = flags.net.batch,
                 .loader_threads = resolve_threads(flags.net.threads),
                 .limits = {.max_pixels = flags.max_pixels}},
                each);
    if (flags.json) {
        print_json(threshold, judged);
    } else {
        print_text(judged);
    }
    return exit_code(judged);
}

}  // namespace gs
