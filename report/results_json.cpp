#include "report/results_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/files.h"

namespace gs {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
    return std::isfinite(value) ? Json(value) : Json(nullptr);
}

template <class T>
Json optional(const std::optional<T>& value) {
    return value ? Json(*value) : Json(nullptr);
}

Json to_json(const RunInfo& r) {
    const auto part = [&](int64_t Shard::*number) {
        return r.shard ? Json((*r.shard).*number) : Json(nullptr);
    };
    return {
        {"gradscore_version", r.gradscore_version},
        {"command", r.command},
        {"net", r.net},
        {"family", r.family},
        {"classes", optional(r.classes)},
        {"weights", {{"path", r.weights_path}, {"sha256", r.weights_sha256}, {"format", r.weights_format}}},
        {"preprocess", r.preprocess},
        {"device", r.device},
        {"precision", r.precision},
        {"threads", r.threads},
        {"batch", r.batch},
        {"seed", r.seed},
        {"limit", optional(r.limit)},
        {"shard", part(&Shard::index)},
        {"shards", part(&Shard::count)},
        {"stopped", r.stopped.empty() ? Json(nullptr) : Json(r.stopped)},
        {"started_with", r.started_with},
        {"started", r.started},
        {"resumed", r.resumed},
        {"wall_seconds", number(r.wall_seconds)},
        {"images_per_second", number(r.images_per_second)},
        {"libraries", r.libraries},
        {"statistics", r.statistics},
        {"limited_fits", r.limited_fits},
        {"plan", r.plan},
        {"notices", r.notices},
        {"invalid_protocol", r.invalid_protocol}};
}

Json to_json(const ImageSizes& sizes) {
    const auto pair = [](const ImageSizes::Size& size) { return Json{size.width, size.height}; };
    return {{"images", sizes.images},
            {"smallest", pair(sizes.smallest)},
            {"median", pair(sizes.median)},
            {"largest", pair(sizes.largest)}};
}

Json to_json(const SetInfo& s) {
    Json failures = Json::array();
    for (const SetFailure& f : s.failures) failures.push_back({{"path", f.path}, {"reason", f.reason}});
    return {{"name", s.name},
            {"description", s.description},
            {"role", to_string(s.role)},
            {"total", s.total},
            {"scored", s.scored},
            {"excluded", s.excluded},
            {"labelled", s.labelled},
            {"labelled_images", s.labelled_images},
            {"correct", s.correct},
            {"accuracy", s.accuracy ? number(*s.accuracy) : Json(nullptr)},
            {"digest", s.digest},
            {"shared_with_id", optional(s.shared_with_id)},
            {"image_sizes", s.image_sizes ? to_json(*s.image_sizes) : Json(nullptr)},
            {"failures", std::move(failures)}};
}

Json to_json(const DetectionMetrics& m) {
    Json json = Json::object();
    for (const MetricField& f : metric_fields()) json[std::string(f.name)] = number(m.*f.value);
    json["id_count"] = m.id_count;
    json["ood_count"] = m.ood_count;
    json["id_excluded"] = m.id_excluded;
    json["ood_excluded"] = m.ood_excluded;
    return json;
}

Json to_json(const Warning& w) {
    return {{"kind", w.kind}, {"method", w.method}, {"set", w.set}, {"message", w.message}};
}

}  // namespace

std::string results_to_json(const Results& results) {
    Json json{{"schema", "gradscore/results/1"},
              {"complete", results.complete()},
              {"comparable", results.comparable()},
              {"positive_class", "id"},  // but for the figures that docs/file-formats.md lists
              {"run", to_json(results.run)}};
    for (const char* list : {"sets", "methods", "warnings"}) json[list] = Json::array();
    json["metrics"] = json["averages"] = Json::object();
    for (const SetInfo& s : results.sets) json["sets"].push_back(to_json(s));
    for (const MethodInfo& m : results.methods)
        json["methods"].push_back({{"name", m.name}, {"options", m.options}});
    for (const MethodMetrics& m : results.metrics) json["metrics"][m.method][m.ood] = to_json(m.metrics);
    for (const MethodMetrics& m : results.averages) json["averages"][m.method] = to_json(m.metrics);
    for (const Warning& w : results.warnings) json["warnings"].push_back(to_json(w));
    // File names need not be UTF-8, JSON must be: such bytes become U+FFFD. The CSV keeps them.
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void write_results_json(const std::filesystem::path& path, const Results& results) {
    write_file_atomically(path, results_to_json(results));
}

}  // namespace gs
