#include <set>

#include "core/files.h"
#include "core/printable.h"
#include "report/json_node.h"
#include "report/results_json.h"

namespace gs {
namespace {

std::optional<int64_t> optional_count(const JsonNode& node) {
    return node.is_null() ? std::nullopt : std::optional(node.count());
}

// Absent in files of before there were shards.
std::optional<Shard> read_shard(const JsonNode& n) {
    if (!n.has("shard") || n["shard"].is_null()) return std::nullopt;
    const Shard shard{n["shard"].count(), n["shards"].count()};
    if (shard.index >= shard.count) n["shard"].fail("is not below shards");
    return shard;
}

RunInfo read_run(const JsonNode& n) {
    RunInfo r;
    r.gradscore_version = n["gradscore_version"].text();
    r.command = n["command"].text();
    r.net = n["net"].text();
    r.family = n["family"].text();
    r.classes = optional_count(n["classes"]);
    r.weights_path = n["weights"]["path"].text();
    r.weights_sha256 = n["weights"]["sha256"].text();
    r.weights_format = n["weights"]["format"].text();
    r.preprocess = n["preprocess"].text();
    r.device = n["device"].text();
    r.precision = n["precision"].text();
    r.threads = n["threads"].count();
    r.batch = n["batch"].count();
    r.seed = n["seed"].natural();
    r.limit = optional_count(n["limit"]);
    r.shard = read_shard(n);
    if (n.has("stopped") && !n["stopped"].is_null()) r.stopped = n["stopped"].text();
    if (n.has("started_with")) r.started_with = n["started_with"].texts();
    r.started = n["started"].text();
    if (n.has("resumed"))
        for (const JsonNode& time : n["resumed"].items()) r.resumed.push_back(time.text());
    r.wall_seconds = n["wall_seconds"].number();
    r.images_per_second = n["images_per_second"].number();
    r.libraries = n["libraries"].texts();
    if (n.has("statistics")) r.statistics = n["statistics"].texts();
    if (n.has("limited_fits"))
        for (const std::string& file : n["limited_fits"].keys())
            r.limited_fits[file] = n["limited_fits"][file].count();
    if (n.has("plan"))
        for (const JsonNode& line : n["plan"].items()) r.plan.push_back(line.text());
    for (const JsonNode& notice : n["notices"].items()) r.notices.push_back(notice.text());
    if (n.has("invalid_protocol"))  // results of earlier versions have none
        for (const JsonNode& reason : n["invalid_protocol"].items())
            r.invalid_protocol.push_back(reason.text());
    return r;
}

ImageSizes::Size read_size(const JsonNode& n) {
    const std::vector<JsonNode> sides = n.items();
    if (sides.size() != 2) n.fail("is not width and height");
    return {sides[0].count(), sides[1].count()};
}

// Absent in files of earlier versions.
void read_images(const JsonNode& n, SetInfo& s) {
    if (n.has("shared_with_id")) s.shared_with_id = optional_count(n["shared_with_id"]);
    if (!n.has("image_sizes") || n["image_sizes"].is_null()) return;
    const JsonNode sizes = n["image_sizes"];
    s.image_sizes = ImageSizes{sizes["images"].count(), read_size(sizes["smallest"]),
                               read_size(sizes["median"]), read_size(sizes["largest"])};
}

SetInfo read_set(const JsonNode& n) {
    SetInfo s;
    s.name = n["name"].text();
    s.description = n["description"].text();
    const std::string role = n["role"].text();
    if (role != "id" && role != "ood") n["role"].fail("is neither \"id\" nor \"ood\"");
    s.role = role == "id" ? SetRole::Id : SetRole::Ood;
    s.total = n["total"].count();
    s.scored = n["scored"].count();
    s.excluded = n["excluded"].count();
    s.labelled = n["labelled"].boolean();
    if (n.has("labelled_images")) s.labelled_images = n["labelled_images"].count();
    if (n.has("correct")) s.correct = n["correct"].count();
    if (!n["accuracy"].is_null()) s.accuracy = n["accuracy"].fraction();
    s.digest = n["digest"].text();
    read_images(n, s);
    for (const JsonNode& f : n["failures"].items())
        s.failures.push_back({f["path"].text(), f["reason"].text()});
    return s;
}

DetectionMetrics read_metrics(const JsonNode& n) {
    DetectionMetrics m;
    for (const MetricField& f : metric_fields()) m.*f.value = n[std::string(f.name)].fraction();
    m.id_count = n["id_count"].count();
    m.ood_count = n["ood_count"].count();
    m.id_excluded = n["id_excluded"].count();
    m.ood_excluded = n["ood_excluded"].count();
    return m;
}

// One ID set, before the OOD sets; names are unique. Tables and look-ups stand on this.
void check_names(const JsonNode& root, const Results& r) {
    std::set<std::string_view> names;
    for (const SetInfo& s : r.sets) {
        // Files are read and written under it.
        if (!is_file_name(s.name))
            root["sets"].fail("names '" + printable(s.name) + "', which is no file's name");
        if (!names.insert(s.name).second) root["sets"].fail("names '" + printable(s.name) + "' twice");
    }
    names.clear();
    for (const MethodInfo& m : r.methods)
        if (!names.insert(m.name).second) root["methods"].fail("names '" + printable(m.name) + "' twice");
    for (size_t k = 0; k < r.sets.size(); ++k)
        if ((r.sets[k].role == SetRole::Id) != (k == 0))
            root["sets"].fail("does not begin with its one ID set");
    if (r.sets.empty()) root["sets"].fail("is empty");
}

void read_tables(const JsonNode& root, Results& r) {
    if (r.sets.size() == 1) return;
    for (const MethodInfo& m : r.methods) {
        for (size_t k = 1; k < r.sets.size(); ++k)
            r.metrics.push_back(
                {m.name, r.sets[k].name, read_metrics(root["metrics"][m.name][r.sets[k].name])});
        r.averages.push_back({m.name, "", read_metrics(root["averages"][m.name])});
    }
}

}  // namespace

Results results_from_json(std::string_view text, const std::string& name) {
    const JsonDocument document(text, name, "the file is damaged or no results.json of this version");
    const JsonNode root = document.root();
    const std::string schema = root["schema"].text();
    if (schema != "gradscore/results/1")
        throw Error(ErrorKind::Data,
                    name + ": schema '" + printable(schema) + "', this version reads 'gradscore/results/1'");
    Results r;
    r.run = read_run(root["run"]);
    for (const JsonNode& s : root["sets"].items()) r.sets.push_back(read_set(s));
    for (const JsonNode& m : root["methods"].items())
        r.methods.push_back({m["name"].text(), m["options"].texts()});
    check_names(root, r);
    read_tables(root, r);
    for (const JsonNode& w : root["warnings"].items())
        r.warnings.push_back({w["kind"].text(), w["method"].text(), w["set"].text(), w["message"].text()});
    return r;
}

Results read_results_json(const std::filesystem::path& path) {
    constexpr size_t kLimit = size_t{1} << 30;
    const std::vector<std::byte> bytes = read_file(path, ErrorKind::Data, kLimit);
    return results_from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

}  // namespace gs
