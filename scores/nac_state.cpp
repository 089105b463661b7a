#include "scores/nac_state.h"

namespace gs {

std::string nac_fit_option(const FitState& state, const std::string& key) {
    const auto it = state.options.find(key);
    return it == state.options.end() ? "" : it->second;
}

const Array& nac_array(const FitState& state, const std::string& prefix, const std::string& tap,
                       const std::string& method) {
    const auto it = state.arrays.find(prefix + tap);
    if (it == state.arrays.end())
        throw Error(ErrorKind::Usage, "method '" + method + "': the statistics hold the layers " +
                                          nac_fit_option(state, "layers") + ", not '" + tap +
                                          "'; run gradscore fit with nac:layers=…");
    const auto& shape = it->second.shape;
    if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1 ||
        static_cast<size_t>(shape[0] * shape[1]) != it->second.as<float>().size())
        throw Error(ErrorKind::Data,
                    "method '" + method + "': the statistics of layer '" + tap + "' are of no image");
    return it->second;
}

}  // namespace gs
