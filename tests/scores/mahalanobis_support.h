// Running a method's request and score on a net, with a fit's state in memory.
#pragma once

#include <cmath>

#include "passes/executor.h"
#include "scores/statistics.h"
#include "tests/reference/tensor.h"

namespace gs::test {

inline MethodSpec method(const std::string& written) {
    return parse_methods(written).at(0);
}

inline Evidence run(Backend& backend, const Net& net, const Request& request, const ref::Tensor<float>& x) {
    Executor executor(backend, net, request);
    return executor.run(x.values, x.shape.n, x.shape.h, x.shape.w);
}

inline std::vector<double> score(Backend& backend, const Net& net, const std::string& written,
                                 const FitState& state, const ref::Tensor<float>& x) {
    StatisticsStore store("", computation_of(net, net.preprocess));
    store.add(state);
    const auto made = make_score(method(written), {net, net.preprocess, &store});
    const Evidence evidence = run(backend, net, made->request(), x);
    std::vector<double> out(static_cast<size_t>(x.shape.n), NAN);
    made->compute(evidence, out);
    return out;
}

}  // namespace gs::test
