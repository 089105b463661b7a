#include "report/threshold_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/numbers.h"
#include "core/printable.h"
#include "report/json_node.h"
#include "report/text.h"

namespace gs {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSchema = "gradscore/threshold/1";

// `rate` is what the share of accepted scores is called: "tpr", "fpr".
Json to_json(const SetAcceptance& set, const char* rate) {
    return {{"name", set.name},
            {"description", set.description},
            {"digest", set.digest},
            {"scores", set.counts.scores},
            {"nan", set.counts.nan},
            {"accepted", set.counts.accepted},
            {rate, set.counts.scores > 0 ? Json(set.counts.rate()) : Json(nullptr)}};
}

SetAcceptance read_set(const JsonNode& n) {
    SetAcceptance set{n["name"].text(), n["description"].text(), n["digest"].text(), {}};
    set.counts = {n["scores"].count(), n["accepted"].count(), n["nan"].count()};
    if (set.counts.accepted > set.counts.scores) n["accepted"].fail("is more than scores");
    return set;
}

double read_finite(const JsonNode& n) {
    const double value = n.number();
    if (!std::isfinite(value)) n.fail("is not a number");
    return value;
}

SetAcceptance acceptance(const ScoredSet& set, size_t method, double threshold) {
    return {set.info.name, set.info.description, set.info.digest,
            count_accepted(set.scores[method], threshold)};
}

}  // namespace

Threshold find_threshold(const Results& results, std::span<const ScoredSet> sets, size_t method, double tpr) {
    const RunInfo& run = results.run;
    Threshold found{run.gradscore_version, results.methods[method], run.net,
                    run.weights_sha256,    run.preprocess,          run.precision};
    found.comparable = results.comparable() && run.invalid_protocol.empty();
    found.tpr = tpr;
    const auto stats = found.method.options.find("stats");
    if (stats != found.method.options.end())
        if (const auto file = run.statistics.find(stats->second); file != run.statistics.end())
            found.statistics_sha256 = file->second;
    for (const ScoredSet& set : sets)
        if (set.info.role == SetRole::Id) found.threshold = threshold_at_tpr(set.scores[method], tpr);
    for (const ScoredSet& set : sets) {
        const SetAcceptance counts = acceptance(set, method, found.threshold);
        if (set.info.role == SetRole::Id) {
            found.id = counts;
        } else {
            found.ood.push_back(counts);
        }
    }
    if (found.id.counts.scores == 0)
        throw Error(ErrorKind::Data, found.id.name + ": no score of " + found.method.name +
                                         " that is a number: there is no threshold");
    if (!std::isfinite(found.threshold))
        throw Error(ErrorKind::Data,
                    found.id.name + ": the score of " + found.method.name + " at a rate of " + shortest(tpr) +
                        " is " + shortest(found.threshold) + ": no finite threshold accepts that share");
    return found;
}

std::string threshold_to_json(const Threshold& t) {
    Json json{{"schema", kSchema},
              {"gradscore_version", t.gradscore_version},
              {"method", {{"name", t.method.name}, {"options", t.method.options}}},
              {"net", t.net},
              {"weights", {{"sha256", t.weights_sha256}}},
              {"preprocess", t.preprocess},
              {"precision", t.precision},
              {"statistics", t.statistics_sha256.empty() ? Json(nullptr) : Json(t.statistics_sha256)},
              {"comparable", t.comparable},
              {"threshold", t.threshold},
              {"tpr", t.tpr},
              {"id", to_json(t.id, "tpr")},
              {"ood", Json::array()}};
    for (const SetAcceptance& set : t.ood) json["ood"].push_back(to_json(set, "fpr"));
    return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Threshold threshold_from_json(std::string_view text, const std::string& name) {
    const JsonDocument document(text, name, "the file is damaged or no threshold of this version");
    const JsonNode root = document.root();
    const std::string schema = root["schema"].text();
    if (schema != kSchema)
        throw Error(ErrorKind::Data, name + ": schema '" + printable(schema) + "', this version reads '" +
                                         std::string(kSchema) + "'");
    Threshold t;
    t.gradscore_version = root["gradscore_version"].text();
    t.method = {root["method"]["name"].text(), root["method"]["options"].texts()};
    t.net = root["net"].text();
    t.weights_sha256 = root["weights"]["sha256"].text();
    t.preprocess = root["preprocess"].text();
    t.precision = root["precision"].text();
    if (root.has("statistics") && !root["statistics"].is_null())
        t.statistics_sha256 = root["statistics"].text();
    t.comparable = root["comparable"].boolean();
    t.threshold = read_finite(root["threshold"]);
    t.tpr = read_finite(root["tpr"]);
    if (!(t.tpr > 0 && t.tpr <= 1)) root["tpr"].fail("is not above 0 and at most 1");
    t.id = read_set(root["id"]);
    for (const JsonNode& set : root["ood"].items()) t.ood.push_back(read_set(set));
    return t;
}

Threshold read_threshold(const std::filesystem::path& path) {
    const std::vector<std::byte> bytes = read_file(path, ErrorKind::Data, size_t{1} << 26);
    return threshold_from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

}  // namespace gs
