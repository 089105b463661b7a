// Kind synthetic: images made from a seed, for benchmarks and trials. Integer arithmetic only, so that every
// machine makes the same ones.

#include "core/numbers.h"
#include "core/random.h"
#include "data/sets.h"

namespace gs::detail {
namespace {

uint64_t splitmix64(uint64_t& state) {
    return Random::mix(state += Random::kStep);
}

Image noise(int64_t side, uint64_t& state) {
    Image image{side, side, std::vector<uint8_t>(static_cast<size_t>(side * side * 3))};
    for (uint8_t& value : image.rgb) value = static_cast<uint8_t>(splitmix64(state) >> 56);
    return image;
}

int64_t parse_count(const SetSource& source, const std::string& text, int64_t most) {
    const auto value = parse_number<int64_t>(text);
    if (!value || *value < 1 || *value > most)
        throw Error(ErrorKind::Usage, "image set 'synthetic:" + source.path + "': '" + text +
                                          "' is no number from 1 to " + std::to_string(most));
    return *value;
}

// Coarse coloured noise, enlarged smoothly, with a quarter of finer noise on top.
class SyntheticSet : public ImageSet {
  public:
    SyntheticSet(int64_t count, int64_t side, uint64_t seed) : count_(count), side_(side), seed_(seed) {}
    int64_t size() const override { return count_; }
    ImageItem item(int64_t index) const override { return {index_name(index), {}}; }

    std::vector<std::byte> bytes(int64_t index) const override {
        uint64_t state = seed_ * 0xd1342543de82ef95 + static_cast<uint64_t>(index);
        state = splitmix64(state);
        const int64_t cells = 2 + static_cast<int64_t>(splitmix64(state) % 7);
        const Image coarse = resize_bilinear(noise(cells, state), side_, side_);
        const Image fine = resize_bilinear(noise(4 * cells, state), side_, side_);
        std::vector<std::byte> out(coarse.rgb.size());
        for (size_t i = 0; i < out.size(); ++i)
            out[i] = static_cast<std::byte>((3 * coarse.rgb[i] + fine.rgb[i]) / 4);
        return out;
    }

    Image decode(int64_t, std::span<const std::byte> bytes, const DecodeLimits&) const override {
        const auto* pixels = reinterpret_cast<const uint8_t*>(bytes.data());
        return {side_, side_, std::vector<uint8_t>(pixels, pixels + bytes.size())};
    }

  private:
    int64_t count_, side_;
    uint64_t seed_;
};

}  // namespace

std::unique_ptr<ImageSet> open_synthetic(const SetSource& source, uint64_t seed) {
    const std::string* side = source.option("size");
    return std::make_unique<SyntheticSet>(parse_count(source, source.path, 1'000'000'000),
                                          side != nullptr ? parse_count(source, *side, 4096) : 224, seed);
}

}  // namespace gs::detail
