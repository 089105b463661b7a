#include "data/image_set.h"

#include <algorithm>
#include <array>
#include <functional>

#include "core/files.h"
#include "core/join.h"
#include "core/printable.h"
#include "data/sets.h"

namespace gs {
namespace {

using detail::SetSource;
using Opener = std::function<std::unique_ptr<ImageSet>(const SetSource&, uint64_t seed)>;

struct Kind {
    std::string_view name;
    std::vector<std::string_view> options;
    Opener open;
};

// Kinds that need no seed.
Opener plain(std::unique_ptr<ImageSet> (*open)(const SetSource&)) {
    return [open](const SetSource& source, uint64_t) { return open(source); };
}

const std::vector<Kind>& kinds() {
    static const std::vector<Kind> all{
        {"folder", {}, plain(detail::open_folder)},
        {"list", {"root", "groups"}, plain(detail::open_list)},
        {"cifar10", {"split"}, plain(detail::open_cifar10)},
        {"cifar100", {"split"}, plain(detail::open_cifar100)},
        {"svhn", {}, plain(detail::open_svhn)},
        {"tiny-images", {"skip"}, plain(detail::open_tiny_images)},
        {"npy", {}, plain(detail::open_npy)},
        {"synthetic", {"size"}, detail::open_synthetic},
    };
    return all;
}

[[noreturn]] void bad_spec(std::string_view spec, const std::string& why) {
    throw Error(ErrorKind::Usage, "image set '" + std::string(spec) + "': " + why);
}

const Kind& find_kind(std::string_view spec, std::string_view name) {
    for (const Kind& kind : kinds())
        if (kind.name == name) return kind;
    bad_spec(spec, "no kind '" + std::string(name) + "'; there are " + join(kinds(), ", ", &Kind::name));
}

// Options are taken off the end, and only those that the kind knows: paths may hold colons.
SetSource take_apart(std::string_view text, const Kind& kind) {
    SetSource source;
    while (true) {
        size_t at = std::string_view::npos, key_length = 0;
        for (std::string_view key : kind.options) {
            const size_t found = text.rfind(":" + std::string(key) + "=");
            if (found == std::string_view::npos || (at != std::string_view::npos && found < at)) continue;
            at = found;
            key_length = key.size();
        }
        if (at == std::string_view::npos) break;
        source.options.emplace_back(text.substr(at + 1, key_length), text.substr(at + key_length + 2));
        text = text.substr(0, at);
    }
    source.path = text;
    return source;
}

std::string default_name(const SetSource& source, std::string_view kind) {
    if (kind == "synthetic") return "synthetic";
    const std::filesystem::path path =
        without_last_slash(std::filesystem::path(source.path).lexically_normal());
    std::error_code ignored;  // told by who opens it
    return std::filesystem::is_directory(path, ignored) ? path.filename().string() : path.stem().string();
}

}  // namespace

RawInput ImageSet::raw(int64_t, std::span<const std::byte>) const {
    GS_REQUIRE(is_raw());  // and those that are override this
    return {};
}

std::unique_ptr<ImageSet> open_image_set(std::string_view spec, uint64_t seed) {
    const size_t colon = spec.find(':');
    const size_t equals = spec.substr(0, colon).find('=');
    if (colon == std::string_view::npos) bad_spec(spec, "write [NAME=]KIND:PATH, for example folder:images");
    const size_t begin = equals == std::string_view::npos ? 0 : equals + 1;
    const Kind& kind = find_kind(spec, spec.substr(begin, colon - begin));
    const SetSource source = take_apart(spec.substr(colon + 1), kind);
    if (source.path.empty()) bad_spec(spec, "the path is missing");

    // The name becomes a file's name in the results.
    const std::string name =
        begin > 0 ? std::string(spec.substr(0, equals)) : default_name(source, kind.name);
    if (name.empty() || name == "." || name == ".." ||
        name.find_first_of(std::string_view("/\0\n", 3)) != name.npos || !is_utf8(name))
        bad_spec(spec, "'" + name + "' cannot be a set's name" + (is_utf8(name) ? "" : ", it is not UTF-8") +
                           "; write NAME=" + std::string(kind.name) + ":…");

    std::unique_ptr<ImageSet> set = kind.open(source, seed);
    if (set->size() == 0) throw Error(ErrorKind::Data, source.path + ": there are no images");
    set->name_ = name;
    set->description_ = spec.substr(begin);
    if (kind.name != "synthetic") set->places_.emplace_back(source.path);
    for (const char* option : {"root", "skip"})
        if (const std::string* place = source.option(option)) set->places_.emplace_back(*place);
    return set;
}

std::vector<std::string> image_set_kinds() {
    std::vector<std::string> names;
    for (const Kind& kind : kinds()) names.emplace_back(kind.name);
    return names;
}

const std::string* detail::SetSource::option(std::string_view key) const {
    // The last one given stands first.
    const auto found =
        std::find_if(options.begin(), options.end(), [&](const auto& o) { return o.first == key; });
    return found == options.end() ? nullptr : &found->second;
}

std::string detail::index_name(int64_t index) {
    return "index " + std::to_string(index);
}

}  // namespace gs
