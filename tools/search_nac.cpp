// The search for NAC's O, M and alpha by layer: every combination of the published grids, or of the values
// that the method gives ("O=10/50+100": 10 or 50 at the first layer, 100 at the second).
#include <cmath>

#include "core/join.h"
#include "core/numbers.h"
#include "report/text.h"
#include "scores/nac_options.h"
#include "scores/nac_products.h"
#include "scores/nac_state.h"
#include "scores/options.h"
#include "tools/journaled_stage.h"
#include "tools/nac_sweep.h"
#include "tools/search.h"
#include "tools/setup.h"

namespace gs {
namespace {

// The method without the constants that are searched for.
MethodSpec without_constants(const MethodSpec& spec) {
    MethodSpec rest = spec;
    for (const char* key : {"O", "M", "alpha"}) rest.options.erase(key);
    return rest;
}

// The values of one option by layer, each read and checked as an option of its own.
template <class T>
void read_values(const MethodSpec& spec, const std::string& key, const Net& net, std::vector<NacGrid>& grids,
                 std::vector<T> NacGrid::*values, T NacLayer::*constant) {
    const auto given = spec.options.find(key);
    if (given == spec.options.end()) return;
    const std::vector<std::string> parts = split(given->second, '+');
    if (parts.size() != 1 && parts.size() != grids.size())
        throw Error(ErrorKind::Usage, "method '" + spec.written + "': " + key + " has values for " +
                                          std::to_string(parts.size()) + " layers, not for " +
                                          std::to_string(grids.size()));
    for (size_t l = 0; l < grids.size(); ++l) {
        (grids[l].*values).clear();
        for (const std::string& value : split(parts[parts.size() == 1 ? 0 : l], '/')) {
            MethodSpec one = without_constants(spec);
            one.options[key] = value;
            (grids[l].*values)
                .push_back(read_nac_options(one, net, NacConstants::Optional).layers[0].*constant);
        }
    }
}

std::vector<NacGrid> grids_of(const MethodSpec& spec, const Net& net, const NacOptions& options) {
    const NacDefaults defaults = nac_defaults(net, options.variant);
    std::vector<NacGrid> grids;
    for (const NacLayer& layer : options.layers) grids.push_back(defaults.grid(layer.tap));
    read_values(spec, "O", net, grids, &NacGrid::o, &NacLayer::o);
    read_values(spec, "M", net, grids, &NacGrid::m, &NacLayer::m);
    read_values(spec, "alpha", net, grids, &NacGrid::alpha, &NacLayer::alpha);
    return grids;
}

// o * g of every set: [layer][set].
std::vector<std::vector<Matrix>> products_of(SearchRun& run, const NacOptions& options) {
    const NacProducts products(run.net(), options.taps());
    std::vector<std::vector<Matrix>> all(options.layers.size());
    for (const ImageSet* set : run.sets()) {
        for (auto& layer : all) layer.emplace_back();
        run.run(*set, {.request = products.request(),
                       .kept = products.request(),
                       .compute = record_of_evidence,
                       .take = [&](const BatchRecord& record) {
                           const std::vector<Matrix> batch = products.of(record.evidence);
                           for (size_t l = 0; l < all.size(); ++l)
                               all[l].back().append(batch[l].values, batch[l].cols);
                       }});
    }
    return all;
}

Matrix build_of(const FitState& state, const std::string& tap, int64_t neurons, const std::string& method) {
    if (nac_fit_option(state, "keep") != "states")
        throw Error(ErrorKind::Usage, "method '" + method +
                                          "': the statistics are histograms; a search needs a fit with "
                                          "keep=states");
    const Array& products = nac_array(state, kNacProducts, tap, method);
    if (products.shape[1] != neurons)
        throw Error(ErrorKind::Data, "method '" + method + "': the statistics of layer '" + tap +
                                         "' are of another number of neurons");
    return {products.shape[0], products.shape[1], products.as<float>()};
}

std::string method_of(const NacOptions& options, const std::vector<NacLayer>& layers) {
    const auto joined = [&](const auto& text) { return join(layers, "+", text); };
    return "nac:variant=" + to_string(options.variant) + ":layers=" + joined(&NacLayer::tap) +
           ":O=" + joined([](const NacLayer& l) { return std::to_string(l.o); }) +
           ":M=" + joined([](const NacLayer& l) { return std::to_string(l.m); }) +
           ":alpha=" + joined([](const NacLayer& l) { return shortest(l.alpha); });
}

}  // namespace

Found search_nac(const MethodSpec& spec, SearchRun& run) {
    if (run.sets().size() < 2)
        throw Error(ErrorKind::Usage, "search of nac: needs an --ood set to tell apart");
    const NacOptions options = read_nac_options(without_constants(spec), run.net(), NacConstants::Optional);
    const std::vector<NacGrid> grids = grids_of(spec, run.net(), options);
    for (const NacGrid& grid : grids)
        for (const int64_t m : grid.m) NacThresholds(options.variant, m);
    const FitState& state = find_nac_fit(run.statistics(), spec, options);
    auto products = products_of(run, options);

    std::vector<NacLayerSweep> sweeps;
    for (size_t l = 0; l < grids.size(); ++l) {
        const std::string& tap = options.layers[l].tap;
        const Matrix build = build_of(state, tap, products[l].front().cols, spec.written);
        sweeps.push_back(sweep_layer(options.variant, tap, grids[l], build, products[l]));
        products[l].clear();
    }
    const int64_t count = combinations(sweeps);
    ProgressStyle style = run.options().run.progress;
    style.unit = "combination";
    Progress progress("nac", count, style);
    const NacBest best = best_combination(sweeps, [&](int64_t tried) {
        progress.update(tried, 0);
        run.stop_where_interrupted();
    });
    progress.finish();

    nlohmann::json by_set = nlohmann::json::object();
    for (size_t i = 0; i < best.auroc_by_set.size(); ++i)
        by_set[run.sets()[i + 1]->name()] = best.auroc_by_set[i];
    return {.method = method_of(options, best.layers),
            .figures = {{"auroc", best.auroc}, {"auroc_by_set", by_set}, {"combinations", count}},
            .summary = "mean AUROC " + shortest(std::round(1e4 * best.auroc) / 100) + " %, the best of " +
                       counted(count, "combination")};
}

}  // namespace gs
