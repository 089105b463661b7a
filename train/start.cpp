#include "train/start.h"

#include <cmath>

#include "core/join.h"
#include "core/random.h"

namespace gs::train {
namespace {

bool is_of_head(const Architecture& architecture, const std::string& name) {
    return name.starts_with(architecture.head + ".");
}

// Families whose references leave it to PyTorch's Conv2d: GAIA-OOD networks/resnet.py, OpenOOD
// networks/resnet18_32x32.py, big_transfer bit_pytorch/models.py.
bool draws_as_pytorch(Family family) {
    return family == Family::CifarResNet || family == Family::ResNetV2;
}

std::vector<float> drawn(const std::string& name, const std::vector<int64_t>& shape, bool head, Family family,
                         uint64_t seed) {
    size_t count = 1;
    for (const int64_t d : shape) count *= static_cast<size_t>(d);
    if (shape.size() == 1) {
        const bool one = !head && (name.ends_with(".weight") || name.ends_with("running_var"));
        return std::vector<float>(count, one ? 1.0f : 0.0f);
    }
    Random random({seed, stream(name)});
    std::vector<float> values(count);
    const double fan_in = static_cast<double>(count) / static_cast<double>(shape[0]);
    const double taps = shape.size() == 4 ? static_cast<double>(shape[2] * shape[3]) : 1.0;
    const double deviation = std::sqrt(2 / (taps * static_cast<double>(shape[0]))),
                 bound = 1 / std::sqrt(fan_in);
    const bool uniform = head || draws_as_pytorch(family);
    for (float& value : values)
        value =
            static_cast<float>(uniform ? bound * (2 * random.uniform() - 1) : deviation * random.normal());
    return values;
}

// Refuses a dropout that the net has no place for.
Architecture with_dropout(const Recipe& recipe, const Architecture& architecture) {
    if (recipe.dropout > 0 && architecture.family != Family::WideResNet)
        throw Error(ErrorKind::Usage, "'dropout' is for WideResNets, and the net is " +
                                          name_of(architecture) + "; --dropout 0 goes without");
    return architecture;
}

}  // namespace

Architecture starting_architecture(const Recipe& recipe, const WeightFile* file) {
    const int64_t classes = logit_count(recipe);
    const std::optional<Architecture> named = architecture_of(recipe.net, classes);
    if (!named && !(recipe.net == "auto" && file != nullptr))
        throw Error(ErrorKind::Usage,
                    "net '" + recipe.net + "': no such net; known: " + join(published_names()));
    if (file == nullptr) return with_dropout(recipe, *named);
    Architecture found = guess_architecture(WeightReader(*file));
    if (found.classes != classes && !recipe.zero_head)
        throw Error(ErrorKind::Weights, file->path.string() + ": its last layer has " +
                                            std::to_string(found.classes) + " outputs, the recipe needs " +
                                            std::to_string(classes) +
                                            " (--zero-head true starts with a new one)");
    found.classes = classes;
    if (!named) return with_dropout(recipe, found);
    if (!is_named(found, *named))
        throw Error(ErrorKind::Weights,
                    file->path.string() + ": holds " + name_of(found) + ", not the recipe's " + recipe.net);
    return with_dropout(recipe, found);
}

WeightReader::Source starting_weights(const Recipe& recipe, const Architecture& architecture,
                                      WeightReader* reader) {
    return [recipe, architecture, reader](const std::string& name, const std::vector<int64_t>& shape) {
        const bool head = is_of_head(architecture, name);
        if (head && recipe.zero_head) {
            if (reader != nullptr) reader->leave(name);
            size_t count = 1;
            for (const int64_t d : shape) count *= static_cast<size_t>(d);
            return std::vector<float>(count);
        }
        return reader != nullptr ? reader->take(name, shape)
                                 : drawn(name, shape, head, architecture.family, recipe.seed);
    };
}

}  // namespace gs::train
