// gradscore --list-methods and gradscore devices.
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/devices.h"
#include "scores/score.h"
#include "tools/commands.h"
#include "tools/setup.h"

namespace gs {

int run_list_methods(bool json) {
    if (json) {
        nlohmann::json all = nlohmann::json::array();
        for (const MethodDescription& m : method_descriptions())
            all.push_back({{"name", m.name},
                           {"summary", m.summary},
                           {"source", m.source},
                           {"needs", m.needs},
                           {"options", m.options}});
        std::cout << all.dump(1) << '\n';
        return 0;
    }
    std::cout
        << "Higher means more in-distribution, for every method. METHOD[:OPTION=VALUE…], comma separated.\n";
    for (const MethodDescription& m : method_descriptions()) {
        std::cout << '\n'
                  << m.name << "  " << m.summary << "\n    source  " << m.source << "\n    needs   "
                  << m.needs << '\n';
        for (const auto& [key, meaning] : m.options) std::cout << "    " << key << " = " << meaning << '\n';
    }
    return 0;
}

int run_devices(bool json) {
    NetFlags flags;
    flags.device = "cpu";
    const auto cpu = make_backend(flags);
    const CudaDevices cuda = find_cuda_devices();
    if (json) {
        std::cout
            << nlohmann::json{{"cpu", cpu->description()},
                              {"cuda",
                               {{"built", cuda.built}, {"devices", cuda.devices}, {"reason", cuda.reason}}}}
                   .dump()
            << '\n';
        return 0;
    }
    std::cout << "cpu   " << cpu->description() << '\n';
    for (const std::string& device : cuda.devices) std::cout << "cuda  " << device << '\n';
    if (cuda.devices.empty()) std::cout << "cuda  none: " << cuda.reason << '\n';
    return 0;
}

}  // namespace gs
