#include "core/error.h"

namespace gs {

void require_failed(const char* file, int line, const char* expression) {
    throw Error(ErrorKind::Internal,
                std::string(file) + ":" + std::to_string(line) + ": internal check failed: " + expression);
}

}  // namespace gs
