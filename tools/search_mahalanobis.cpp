// The search of Mahalanobis: the step eta and the weights of the layers, from the first 1,000 images of the
// ID set alone; what it finds is kept in statistics.
#include <algorithm>
#include <set>

#include "core/join.h"
#include "core/numbers.h"
#include "report/text.h"
#include "scores/options.h"
#include "tools/mahalanobis_tuning.h"
#include "tools/search.h"
#include "tools/setup.h"

namespace gs {
namespace {

constexpr int64_t kImages = 1000;

struct Options {
    MahalanobisOptions fit;
    std::map<std::string, std::string> wanted;
    std::vector<double> etas;
    bool image_bounds = false;
};

// Published order: of equal FPR95 the first wins.
std::vector<double> read_etas(const MethodSpec& spec, const std::string& list) {
    std::vector<double> etas;
    for (const std::string& value : split(list, '/')) {
        MethodSpec one{.written = spec.written, .name = spec.name, .options = {{"eta", value}}};
        etas.push_back(OptionReader(one).number_from_zero("eta", 0));
    }
    return etas;
}

Options read_options(const MethodSpec& spec, const Net& net) {
    static constexpr std::string_view kBounds[] = {"reference", "image"};
    OptionReader reader(spec);
    Options options;
    options.fit = read_mahalanobis_options(reader, net);
    options.etas = read_etas(spec, reader.text("eta", "0/0.01/0.005/0.002/0.0014/0.001/0.0005"));
    options.image_bounds = reader.choice("bounds", "reference", kBounds) == "image";
    const auto resolved = reader.finish();
    options.wanted["form"] = resolved.at("form");
    if (spec.options.contains("layers")) options.wanted["layers"] = resolved.at("layers");
    return options;
}

LabelAttack make_attack(const SearchRun& run, const ExecutorOptions& executor, bool image_bounds) {
    // The published script clamps normalised pixels to [0, 1], as if they were not normalised.
    std::array<float, 3> low{0, 0, 0}, high{1, 1, 1};
    const Preprocess& p = run.preprocess();
    for (size_t c = 0; c < 3 && image_bounds; ++c) {
        low[c] = (0 - p.mean[c]) / p.std[c];
        high[c] = (1 - p.mean[c]) / p.std[c];
    }
    return {run.backend(), run.net(), executor, low, high};
}

std::vector<int64_t> labels_of(const SearchRun& run, const Batch& batch) {
    std::vector<int64_t> labels;
    for (const int64_t index : batch.indices) {
        const ImageItem item = run.id().item(index);
        if (!item.label || *item.label < 0 || *item.label >= run.net().head.classes)
            throw Error(ErrorKind::Data, run.id().name() + ": " + item.path +
                                             ": has no label that is a class of the net; the search of "
                                             "mahalanobis needs one of every image");
        labels.push_back(*item.label);
    }
    return labels;
}

// A folder's images stand class by class, those of the published list do not.
void note_few_classes(const ImageSet& images, std::optional<int64_t> limit) {
    const int64_t searched = std::min(kImages, limit.value_or(kImages));
    std::set<int64_t> of_first, of_all;
    for (int64_t i = 0; i < images.size(); ++i) {
        const std::optional<int64_t> label = images.item(i).label;
        if (!label) continue;
        of_all.insert(*label);
        if (i < searched) of_first.insert(*label);
    }
    if (of_first.size() * 3 >= of_all.size()) return;
    say("notice: " + images.name() + ": the search took the first " + grouped(searched) +
        " images, which are of " + std::to_string(of_first.size()) + " of the " +
        grouped(std::ssize(of_all)) + " classes; a list in mixed order (list:FILE) has more");
}

nlohmann::json figures(const TuningResult& result, std::span<const double> etas) {
    nlohmann::json by_eta = nlohmann::json::object();
    for (size_t e = 0; e < etas.size(); ++e) by_eta[shortest(etas[e])] = result.fpr95_by_eta[e];
    return {{"eta", result.tuning.eta},      {"weight", result.tuning.weight}, {"bias", result.tuning.bias},
            {"fpr95_closest", result.fpr95}, {"fpr95_by_eta", by_eta},         {"c", result.c},
            {"accuracy", result.accuracy}};
}

}  // namespace

Found search_mahalanobis(const MethodSpec& spec, SearchRun& run) {
    const Options options = read_options(spec, run.net());
    FitState state = run.statistics().find(spec, "", options.wanted);
    const MahalanobisLayers layers(state);
    const Request request = layers.request(options.etas);
    const ExecutorOptions executor = run.options().run.executor();
    LabelAttack attack = make_attack(run, executor, options.image_bounds);
    Executor of_attacked(run.backend(), run.net(), request, executor);
    LayerScores clean, attacked;
    const size_t count = layers.names().size(), columns = options.etas.size() * count;
    const auto compute = [&](const Batch& batch, const Evidence& evidence) {
        BatchRecord record;
        record.scores.resize(2 * columns);  // clean, attacked
        if (batch.count == 0) return record;
        std::vector<std::vector<double>> of_clean = layer_columns(layers, evidence, options.etas);
        const std::vector<float> moved = attack.attacked(batch, labels_of(run, batch));
        std::vector<std::vector<double>> of_moved = layer_columns(
            layers, of_attacked.run(moved, batch.count, batch.height, batch.width), options.etas);
        std::move(of_clean.begin(), of_clean.end(), record.scores.begin());
        std::move(of_moved.begin(), of_moved.end(), record.scores.end() - std::ssize(of_moved));
        return record;
    };
    run.run(run.id(), {.request = request,
                       .scores = 2 * columns,
                       .kept = {},
                       .compute = compute,
                       .take =
                           [&](const BatchRecord& record) {
                               const std::span scores(record.scores);
                               clean.append(scores.first(columns), count);
                               attacked.append(scores.last(columns), count);
                           },
                       .most = kImages});
    const TuningResult result = tune_mahalanobis(clean, attacked, count, options.etas);
    note_few_classes(run.id(), run.options().run.limit);
    put_tuning(state, result.tuning);
    const auto named = options.wanted.find("layers");
    return {.method = std::string("mahalanobis") + (options.fit.mds ? ":form=mds" : "") +
                      (named != options.wanted.end() ? ":layers=" + named->second : ""),
            .figures = figures(result, options.etas),
            .summary = "eta " + shortest(result.tuning.eta) + ", FPR95 against attacked images " +
                       shortest(std::round(1e4 * result.fpr95) / 100) + " %",
            .tuned = std::move(state)};
}

}  // namespace gs
