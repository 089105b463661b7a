#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "core/printable.h"
#include "cpu/kernels/kernels.h"

namespace gs::cpu {

namespace baseline {
Kernels table();
}
#if defined(GRADSCORE_X86_KERNELS)
namespace avx2 {
Kernels table();
}
namespace avx512 {
Kernels table();
}
#endif

const Kernels* find_kernels(const char* isa) {
    const std::string_view wanted = isa;
    static const Kernels plain = baseline::table();
    if (wanted == "baseline") return &plain;
#if defined(GRADSCORE_X86_KERNELS)
    __builtin_cpu_init();
    if (wanted == "avx2" && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        static const Kernels kernels = avx2::table();
        return &kernels;
    }
    if (wanted == "avx512" && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
        static const Kernels kernels = avx512::table();
        return &kernels;
    }
#endif
    return nullptr;
}

const Kernels& best_kernels() {
    if (const char* asked = std::getenv("GRADSCORE_ISA")) {
        if (const Kernels* kernels = find_kernels(asked)) return *kernels;
        throw Error(ErrorKind::Usage, "GRADSCORE_ISA=" + printable(asked) +
                                          ": baseline, avx2 or avx512, where this machine has them");
    }
    for (const char* isa : {"avx512", "avx2"}) {
        if (const Kernels* kernels = find_kernels(isa)) return *kernels;
    }
    return *find_kernels("baseline");
}

}  // namespace gs::cpu
