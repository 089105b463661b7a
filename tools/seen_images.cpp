#include "tools/seen_images.h"

#include "core/error.h"
#include "core/numbers.h"

namespace gs {
namespace {

constexpr std::string_view kWasFittedOn = " was fitted on ", kOfThe = " of the ", kImagesOf = " images of ",
                           kAllowed = " (--allow-fit-on-test)";

}  // namespace

void require_unseen(const StatisticsStore& statistics, const ImageSet& set, std::span<const int64_t> indices,
                    std::span<const std::string> digests) {
    if (!statistics.any_used()) return;
    for (size_t i = 0; i < indices.size(); ++i)
        if (const auto* file = statistics.seen_in(image_digest(digests[i])))
            throw Error(ErrorKind::Data,
                        set.name() + ": " + set.item(indices[i]).path + ": " + file->string() +
                            " was fitted (or searched) on this very image; take other images, "
                            "or allow it with --allow-fit-on-test");
}

std::string FittedOnTest::text() const {
    return file + std::string(kWasFittedOn) + std::to_string(seen) + std::string(kOfThe) +
           std::to_string(scored) + std::string(kImagesOf) + set + std::string(kAllowed);
}

std::optional<FittedOnTest> FittedOnTest::from_text(std::string_view text) {
    const size_t numbers = text.rfind(kWasFittedOn);
    if (numbers == text.npos || !text.ends_with(kAllowed)) return std::nullopt;
    std::string_view rest = text.substr(numbers + kWasFittedOn.size());
    rest.remove_suffix(kAllowed.size());
    const size_t middle = rest.find(kOfThe), end = rest.find(kImagesOf);
    if (middle == rest.npos || end == rest.npos || end < middle + kOfThe.size()) return std::nullopt;
    const auto seen = parse_number<int64_t>(rest.substr(0, middle)),
               scored =
                   parse_number<int64_t>(rest.substr(middle + kOfThe.size(), end - middle - kOfThe.size()));
    if (!seen || !scored) return std::nullopt;
    return FittedOnTest{std::string(text.substr(0, numbers)),
                        std::string(rest.substr(end + kImagesOf.size())), *seen, *scored};
}

}  // namespace gs
