#include "tools/stored_preprocess.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "core/join.h"
#include "core/numbers.h"
#include "tools/setup.h"

namespace gs {
namespace {

constexpr const char* kPrefix = "preprocessing/";

struct Field {
    const char* name;
    std::string PreprocessFlags::*flag;
};
constexpr Field kFields[] = {{"resize", &PreprocessFlags::resize},
                             {"crop", &PreprocessFlags::crop},
                             {"mean", &PreprocessFlags::mean},
                             {"std", &PreprocessFlags::std}};

std::string size_value(const std::optional<Size>& size) {
    return size ? shortest(size->width) + "x" + shortest(size->height) : "none";
}

// All of them, so that nothing is left to a net's usual preprocessing.
PreprocessFlags flags_of(const Preprocess& p) {
    PreprocessFlags flags;
    flags.resize = p.short_side ? shortest(*p.short_side) : size_value(p.resize);
    flags.crop = size_value(p.crop);
    flags.mean = join(p.mean, ",", shortest<float>);
    flags.std = join(p.std, ",", shortest<float>);
    return flags;
}

}  // namespace

std::map<std::string, std::string> preprocess_metadata(const Preprocess& preprocess) {
    const PreprocessFlags flags = flags_of(preprocess);
    std::map<std::string, std::string> metadata;
    for (const Field& field : kFields) metadata[std::string(kPrefix) + field.name] = flags.*field.flag;
    return metadata;
}

bool is_preprocess_metadata(const std::string& key) {
    return std::any_of(std::begin(kFields), std::end(kFields),
                       [&](const Field& field) { return key == std::string(kPrefix) + field.name; });
}

Preprocess stored_preprocess(const WeightFile& weights, const Preprocess& fallback) {
    PreprocessFlags flags;
    for (const Field& field : kFields)
        if (const auto found = weights.metadata.find(std::string(kPrefix) + field.name);
            found != weights.metadata.end())
            flags.*field.flag = found->second;
    try {
        return resolve_preprocess(fallback, flags);
    } catch (const Error& error) {
        throw Error(ErrorKind::Weights,
                    weights.path.string() + ": metadata '" + kPrefix + "…': " + error.what());
    }
}

std::string flags_between(const Preprocess& from, const Preprocess& to) {
    const PreprocessFlags old = flags_of(from), now = flags_of(to);
    std::string text;
    for (const Field& field : kFields)
        if (old.*field.flag != now.*field.flag)
            text += (text.empty() ? "--" : " --") + std::string(field.name) + " " + now.*field.flag;
    return text;
}

}  // namespace gs
