#include "tools/search_file.h"

#include <algorithm>

#include "core/files.h"
#include "core/printable.h"
#include "report/json_node.h"

namespace gs {
namespace {

constexpr const char* kSchema = "gradscore/search/1";

ImageDigest digest_of(const JsonNode& node) {
    const std::string hex = node.text();
    if (hex.size() != 32 || hex.find_first_not_of("0123456789abcdef") != std::string::npos)
        node.fail("is not a hash of 32 digits");
    return image_digest(hex + std::string(32, '0'));
}

MethodSpec method_of(const JsonNode& node) {
    try {
        std::vector<MethodSpec> methods = parse_methods(node.text());
        if (methods.size() == 1) return methods.front();
    } catch (const Error&) {  // the file's place says more
    }
    node.fail("is not one method");
}

MethodSpec with_options_of(const MethodSpec& spec, const SearchFile& file, const std::string& path,
                           const Computation& own) {
    const auto refuse = [&](const std::string& what) {
        throw Error(ErrorKind::Usage, "method '" + spec.written + "': " + path + " " + what);
    };
    if (file.by.weights_sha256 != own.weights_sha256) refuse("was searched with other weights");
    if (file.by.net != own.net) refuse("was searched with another net, " + printable(file.by.net));
    if (file.by.preprocess != own.preprocess) refuse("was searched with another preprocessing");
    if (file.by.precision != own.precision)
        refuse("was searched in another precision, " + printable(file.by.precision));
    const auto found = std::find_if(file.methods.begin(), file.methods.end(),
                                    [&](const MethodSpec& method) { return method.name == spec.name; });
    if (found == file.methods.end()) refuse("holds nothing for " + spec.name);
    MethodSpec searched = spec;
    searched.options.erase("search");
    for (const auto& [key, value] : found->options)
        if (!searched.options.emplace(key, value).second) refuse("gives " + key + " already");
    return searched;
}

}  // namespace

SearchFile search_file_from_json(std::string_view text, const std::string& name) {
    const JsonDocument document(text, name, "gradscore search writes such files");
    const JsonNode root = document.root();
    if (root["schema"].text() != kSchema) root["schema"].fail(std::string("is not ") + kSchema);
    SearchFile file;
    file.by = {root["weights_sha256"].text(), root["net"].text(), root["preprocess"].text(),
               root.has("precision") ? root["precision"].text() : "f32"};
    for (const JsonNode& result : root["results"].items())
        file.methods.push_back(method_of(result["method"]));
    if (root.has("limit") && !root["limit"].is_null()) file.limit = root["limit"].count();
    if (root.has("started_with")) file.started_with = root["started_with"].texts();
    for (const JsonNode& digest : root["seen"].items()) file.seen.push_back(digest_of(digest));
    std::sort(file.seen.begin(), file.seen.end());
    return file;
}

SearchFile read_search_file(const std::filesystem::path& path) {
    constexpr size_t kMost = size_t{1} << 30;
    const auto bytes = read_file(path, ErrorKind::Data, kMost);
    return search_file_from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

std::map<std::string, int64_t> use_search_files(std::vector<MethodSpec>& methods, const Computation& own,
                                                StatisticsStore* statistics) {
    std::map<std::string, int64_t> limited;
    for (MethodSpec& method : methods) {
        const auto named = method.options.find("search");
        if (named == method.options.end()) continue;
        const std::string path = named->second;
        SearchFile file = read_search_file(path);
        method = with_options_of(method, file, path, own);
        if (file.limit) limited[path] = *file.limit;
        if (statistics != nullptr) statistics->also_seen(path, std::move(file.seen));
    }
    return limited;
}

}  // namespace gs
