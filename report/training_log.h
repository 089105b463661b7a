// The log of a training run, a JSON object a line (docs/file-formats.md), and its curves as a picture.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gs {

struct TrainingLine {
    bool epoch_end = false;         // figures of the whole epoch; otherwise of the steps since the last line
    int64_t epoch = 0;              // from 1
    int64_t step = 0;               // steps done
    double loss = 0, accuracy = 0;  // means over training images
    double learning_rate = 0;       // of the last of these steps
    double images_per_second = 0;
    double seconds = 0;                                              // of training since the run began
    std::optional<double> validation_loss{}, validation_accuracy{};  // at an epoch's end
};

std::string training_line_to_json(const TrainingLine& line);  // without the end of line
// Throws Error(Data) "NAME:LINE: …".
std::vector<TrainingLine> training_log_from_json(std::string_view text, const std::string& name);

// Loss, accuracy and learning rate over epochs as a self-contained SVG; `steps_an_epoch` places the steps.
std::string training_curves_svg(const std::vector<TrainingLine>& lines, const std::string& title,
                                int64_t steps_an_epoch);

}  // namespace gs
