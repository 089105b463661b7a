#include "core/run_identity.h"

#include "core/error.h"
#include "core/join.h"
#include "core/printable.h"

namespace gs {
namespace {

std::string value_of(const RunIdentity& identity, const std::string& name) {
    const auto found = identity.find(name);
    return found == identity.end() || found->second.empty() ? "none" : printable(found->second, 200);
}

}  // namespace

std::vector<std::string> differences(const RunIdentity& now, const RunIdentity& then) {
    RunIdentity names = now;
    names.insert(then.begin(), then.end());
    std::vector<std::string> lines;
    for (const auto& [name, value] : names) {
        const auto a = now.find(name), b = then.find(name);
        const bool same =
            (a == now.end() ? std::string() : a->second) == (b == then.end() ? std::string() : b->second);
        if (!same)
            lines.push_back(printable(name) + ": " + value_of(now, name) + " now, " + value_of(then, name) +
                            " when the run began");
    }
    return lines;
}

void require_same_run(const RunIdentity& now, const RunIdentity& then, const std::string& place) {
    if (then.empty())
        throw Error(ErrorKind::Usage, "--resume " + place +
                                          ": does not say what it was started with (an earlier version wrote "
                                          "it); --force begins anew");
    const std::vector<std::string> differ = differences(now, then);
    if (differ.empty()) return;
    throw Error(ErrorKind::Usage,
                "--resume " + place + ": not the run that began there: " + join(differ, "; "));
}

}  // namespace gs
