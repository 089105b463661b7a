#include "scores/mahalanobis_state.h"

#include <algorithm>
#include <set>

#include "core/finite.h"
#include "core/join.h"

namespace gs {
namespace {

[[noreturn]] void fail(const std::string& what) {
    throw Error(ErrorKind::Data, "statistics of 'mahalanobis': " + what);
}

// Published for BiT: the root and the blocks. The other nets' stages are our extension; MobileNet-v2 has a
// stage a feature, of which the last one of each resolution is taken.
std::vector<std::string> default_layers(const Net& net) {
    if (net.architecture.family != Family::MobileNetV2) return net.stages;
    std::vector<std::string> layers;
    const auto& blocks = net.architecture.blocks;
    for (size_t i = 0; i < blocks.size(); ++i)  // block i is stage i + 1
        if (blocks[i].stride > 1) layers.push_back(net.stages[i]);
    layers.push_back(net.stages.back());
    return layers;
}

// The float64 values of an array, which must be finite and have the shape `rows` x anything.
const std::vector<double>& finite_rows(const FitState& state, const std::string& name, int64_t rows) {
    const Array& array = state.array(name);
    const std::vector<double>& values = array.as<double>();
    if (array.shape.size() != 2 || array.shape[0] != rows)
        fail("'" + name + "' does not fit the other arrays");
    if (!all_finite(values)) fail("'" + name + "' has values that are not finite");
    return values;
}

const std::vector<int64_t>& counts(const FitState& state) {
    const Array& array = state.array("count");
    const std::vector<int64_t>& count = array.as<int64_t>();
    constexpr int64_t kMost = int64_t{1} << 40;  // sums cannot overflow
    if (count.empty() || array.shape.size() != 1 ||
        std::any_of(count.begin(), count.end(), [](int64_t n) { return n < 0 || n > kMost; }))
        fail("'count' is not a list of numbers of images");
    return count;
}

int64_t images_of(const std::vector<int64_t>& count) {
    int64_t images = 0;
    for (const int64_t n : count) images += n;
    return images;
}

Whitening derived_whitening(const FitState& state, const std::string& layer) {
    const ClassScatter sums = get_scatter(state, layer);
    const int64_t images = images_of(sums.count());
    if (images == 0)
        throw Error(ErrorKind::Usage, "'mahalanobis' was fitted on no images with labels; see gradscore fit");
    Whitening whitening = whitening_of(sums.scatter(), sums.dims(), images);
    if (whitening.rank == 0)
        throw Error(ErrorKind::Data, "'mahalanobis': the " + std::to_string(images) +
                                         " images of the fit do not vary within a class at " + layer +
                                         "; fit on more of them");
    return whitening;
}

}  // namespace

MahalanobisOptions read_mahalanobis_options(OptionReader& reader, const Net& net) {
    static constexpr std::string_view kForms[] = {"lee", "mds"};
    MahalanobisOptions options;
    options.mds = reader.choice("form", "lee", kForms) == "mds";
    const std::string fallback = options.mds ? net.pooled : join(default_layers(net), "+");
    options.layers = split(reader.text("layers", fallback), '+');
    std::set<std::string> seen;
    for (const std::string& layer : options.layers) {
        net.tap(layer);
        if (!seen.insert(layer).second)
            throw Error(ErrorKind::Usage, "method 'mahalanobis': layer '" + layer + "' twice");
    }
    return options;
}

void put_scatter(FitState& state, const std::string& layer, const ClassScatter& sums) {
    const int64_t c = sums.classes(), d = sums.dims();
    state.arrays["count"] = {{c}, sums.count()};
    state.arrays[layer + "/mean"] = {{c, d}, sums.mean()};
    state.arrays[layer + "/scatter"] = {{d, d}, sums.scatter()};
}

ClassScatter get_scatter(const FitState& state, const std::string& layer) {
    const std::vector<int64_t>& count = counts(state);
    const auto classes = static_cast<int64_t>(count.size());
    const std::vector<double>& mean = finite_rows(state, layer + "/mean", classes);
    const int64_t dims = static_cast<int64_t>(mean.size()) / classes;
    const std::vector<double>& scatter = finite_rows(state, layer + "/scatter", dims);
    if (static_cast<int64_t>(scatter.size()) != dims * dims)
        fail("'" + layer + "/scatter' does not fit the other arrays");
    return ClassScatter(count, mean, scatter);
}

std::shared_ptr<const ClassGaussians> get_gaussians(const FitState& state, const std::string& layer) {
    const std::vector<int64_t>& count = counts(state);
    const auto classes = static_cast<int64_t>(count.size());
    const std::vector<double>& mean = finite_rows(state, layer + "/mean", classes);
    const int64_t dims = static_cast<int64_t>(mean.size()) / classes;
    Whitening whitening;
    if (state.arrays.contains(layer + "/whitening")) {
        whitening.matrix = finite_rows(state, layer + "/whitening", dims);
        whitening.rank = dims == 0 ? 0 : static_cast<int64_t>(whitening.matrix.size()) / dims;
        if (whitening.rank == 0 || images_of(count) == 0) fail("'" + layer + "' is empty");
    } else {
        whitening = derived_whitening(state, layer);
    }
    return std::make_shared<const ClassGaussians>(count, mean, std::move(whitening.matrix), whitening.rank);
}

void put_whitenings(FitState& state) {
    for (const std::string& layer : layers_of(state)) {
        if (state.arrays.contains(layer + "/whitening")) continue;
        Whitening whitening = derived_whitening(state, layer);
        const int64_t dims = static_cast<int64_t>(whitening.matrix.size()) / whitening.rank;
        state.arrays[layer + "/whitening"] = {{dims, whitening.rank}, std::move(whitening.matrix)};
    }
}

std::vector<std::string> layers_of(const FitState& state) {
    const auto it = state.options.find("layers");
    if (it == state.options.end()) fail("no option 'layers'");
    return split(it->second, '+');
}

void put_tuning(FitState& state, const MahalanobisTuning& tuning) {
    state.arrays["tuning/weight"] = {{static_cast<int64_t>(tuning.weight.size())}, tuning.weight};
    state.arrays["tuning/bias"] = {{1}, std::vector<double>{tuning.bias}};
    state.arrays["tuning/eta"] = {{1}, std::vector<double>{tuning.eta}};
}

std::optional<MahalanobisTuning> get_tuning(const FitState& state) {
    if (!state.arrays.contains("tuning/weight")) return std::nullopt;
    const std::vector<double>& weight = state.array("tuning/weight").as<double>();
    const std::vector<double>& bias = state.array("tuning/bias").as<double>();
    const std::vector<double>& eta = state.array("tuning/eta").as<double>();
    if (weight.size() != layers_of(state).size() || bias.size() != 1 || eta.size() != 1)
        fail("the tuned values do not fit the layers");
    if (!all_finite(weight) || !all_finite(bias) || !all_finite(eta) || eta[0] < 0)
        fail("the tuned values are not finite");
    return MahalanobisTuning{weight, bias[0], eta[0]};
}

}  // namespace gs
