#include "tools/score_start.h"

#include <algorithm>
#include <filesystem>

#include "core/files.h"
#include "core/join.h"
#include "core/printable.h"
#include "core/toml.h"
#include "scores/score.h"
#include "tools/run_folder.h"
#include "tools/training_sets.h"

namespace gs {
namespace {

// Images that are files of their own may be mended while a run waits: their bytes are in no list. Those of
// one large file are known by that file alone.
ListedContents contents_of(const ImageSet& set) {
    const std::string& source = set.description();
    return source.starts_with("folder:") || source.starts_with("list:") ? ListedContents::None
                                                                        : ListedContents::Sample;
}

void add_file(RunIdentity& identity, const std::string& path) {
    if (!path.empty()) identity["SHA-256 of " + path] = sha256_of_file(path);
}

// Flags as config.toml holds them, by name; --out is left out, which says where and not what.
RunIdentity identity_of_flags(const std::string& config) {
    RunIdentity identity;
    for (const TomlEntry& entry : read_toml(config, "config.toml"))
        if (entry.key != "out") identity["--" + entry.key] = join(entry.values, ",");
    return identity;
}

// As results and statistics keep it: they are JSON, and a name without a value says nothing.
RunIdentity kept(const RunIdentity& identity) {
    RunIdentity result;
    for (const auto& [name, value] : identity)
        if (!value.empty()) result[as_utf8(name)] = as_utf8(value);
    return result;
}

}  // namespace

RunStart run_start(const ImageRunFlags& flags, const LoadedNet& loaded, const Preprocess& preprocess,
                   const Backend& backend, const std::vector<const ImageSet*>& sets,
                   const std::string& statistics) {
    RunStart start{.identity = identity_of_flags(flags.config),
                   .circumstances = {},
                   .command = flags.command_line,
                   .started = utc_now()};
    RunIdentity& identity = start.identity;
    identity["--shard"] = flags.shard;
    identity["version of gradscore"] = version();
    identity["weights' SHA-256"] = loaded.net.weights_sha256;
    identity["net"] = loaded.net.name;
    identity["preprocessing"] = preprocess.describe();
    identity["device"] = device_kind(backend);
    for (const ImageSet* set : sets)
        identity["images of " + set->name()] =
            set_identity(set, std::min(flags.limit.value_or(set->size()), set->size()), contents_of(*set));
    add_file(identity, flags.net.arch);
    add_file(identity, statistics);
    for (const MethodSpec& method : parse_methods(flags.methods))
        for (const auto& [option, value] : method.options)
            if (std::error_code none; std::filesystem::is_regular_file(value, none))
                add_file(identity, value);
    start.circumstances = {{"threads", std::to_string(resolve_threads(flags.net.threads))},
                           {"backend", backend.description()}};
    identity = kept(identity);
    for (const auto& [library, number] : library_versions()) start.circumstances[library] = number;
    return start;
}

}  // namespace gs
