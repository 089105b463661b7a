#include "report/training_log.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "report/json_node.h"

namespace gs {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) {
    return std::isfinite(value) ? Json(value) : Json(nullptr);
}

TrainingLine read_line(const JsonNode& node) {
    TrainingLine line;
    const std::string kind = node["kind"].text();
    if (kind != "step" && kind != "epoch") node["kind"].fail("is neither \"step\" nor \"epoch\"");
    line.epoch_end = kind == "epoch";
    line.epoch = node["epoch"].count();
    line.step = node["step"].count();
    line.loss = node["loss"].number();
    line.accuracy = node["accuracy"].fraction();
    line.learning_rate = node["learning_rate"].number();
    line.images_per_second = node["images_per_second"].number();
    line.seconds = node["seconds"].number();
    if (node.has("validation_loss")) line.validation_loss = node["validation_loss"].number();
    if (node.has("validation_accuracy")) line.validation_accuracy = node["validation_accuracy"].fraction();
    return line;
}

}  // namespace

std::string training_line_to_json(const TrainingLine& line) {
    Json json{{"kind", line.epoch_end ? "epoch" : "step"},
              {"epoch", line.epoch},
              {"step", line.step},
              {"loss", number(line.loss)},
              {"accuracy", number(line.accuracy)},
              {"learning_rate", number(line.learning_rate)}};
    if (line.validation_loss) json["validation_loss"] = number(*line.validation_loss);
    if (line.validation_accuracy) json["validation_accuracy"] = number(*line.validation_accuracy);
    json["images_per_second"] = number(line.images_per_second);
    json["seconds"] = number(line.seconds);
    return json.dump();
}

std::vector<TrainingLine> training_log_from_json(std::string_view text, const std::string& name) {
    std::vector<TrainingLine> lines;
    for (int64_t number = 1; !text.empty(); ++number) {
        const size_t length = std::min(text.find('\n'), text.size());
        const JsonDocument document(text.substr(0, length), name + ":" + std::to_string(number),
                                    "is this the log of a gradscore train?");
        lines.push_back(read_line(document.root()));
        text.remove_prefix(std::min(length + 1, text.size()));
    }
    return lines;
}

}  // namespace gs
