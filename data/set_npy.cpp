// Kind npy: float32 [N, 3, H, W], normalised already and used as it is, or uint8 [N, H, W, 3] RGB images.
#include <cstring>

#include "core/finite.h"
#include "core/npy.h"
#include "data/sets.h"

namespace gs::detail {
namespace {

class NpySet : public ImageSet {
  public:
    explicit NpySet(const std::string& path) : file_(path, ErrorKind::Data) {
        const npy::Array array = npy::parse(file_.bytes(), path, ErrorKind::Data);
        check(array, path);
        raw_ = array.type == npy::Type::F4;
        count_ = array.shape[0];
        height_ = array.shape[raw_ ? 2 : 1];
        width_ = array.shape[raw_ ? 3 : 2];
        data_ = array.data;
        if (array.fortran || (array.big_endian && raw_)) {
            native_ = npy::to_native(array);
            data_ = native_;
        }
    }

    int64_t size() const override { return count_; }
    ImageItem item(int64_t index) const override { return {index_name(index), {}}; }
    bool is_raw() const override { return raw_; }

    std::vector<std::byte> bytes(int64_t index) const override {
        const size_t each = data_.size() / static_cast<size_t>(count_);
        const auto image = data_.subspan(static_cast<size_t>(index) * each, each);
        return {image.begin(), image.end()};
    }

    Image decode(int64_t, std::span<const std::byte> bytes, const DecodeLimits&) const override {
        GS_REQUIRE(!raw_);
        const auto* pixels = reinterpret_cast<const uint8_t*>(bytes.data());
        return {width_, height_, std::vector<uint8_t>(pixels, pixels + bytes.size())};
    }

    RawInput raw(int64_t, std::span<const std::byte> bytes) const override {
        GS_REQUIRE(raw_);
        RawInput out{width_, height_, std::vector<float>(bytes.size() / sizeof(float))};
        const auto plane = static_cast<size_t>(width_ * height_);
        for (size_t c = 0; c < 3; ++c)
            for (size_t i = 0; i < plane; ++i)
                std::memcpy(&out.values[3 * i + c], bytes.data() + (c * plane + i) * sizeof(float),
                            sizeof(float));
        // A ReLU makes zeros of NaN: a score would come out that means nothing.
        if (!all_finite(out.values)) throw Error(ErrorKind::Data, "a value that is NaN or infinite");
        return out;
    }

  private:
    static void check(const npy::Array& array, const std::string& path) {
        const std::vector<int64_t>& shape = array.shape;
        const bool floats = array.type == npy::Type::F4 && shape.size() == 4 && shape[1] == 3;
        const bool images = array.type == npy::Type::U1 && shape.size() == 4 && shape[3] == 3;
        if (!floats && !images) {
            std::string found = std::string(npy::to_string(array.type)) + " [";
            for (size_t i = 0; i < shape.size(); ++i) found += (i > 0 ? ", " : "") + std::to_string(shape[i]);
            throw Error(ErrorKind::Data, path + ": holds " + found +
                                             "]; needed is float32 [N, 3, H, W] or uint8 [N, H, W, 3]");
        }
        if (array.elements() == 0)
            throw Error(ErrorKind::Data, path + ": there are no images (a length is 0)");
    }

    MappedFile file_;
    std::vector<std::byte> native_;
    std::span<const std::byte> data_;
    int64_t count_ = 0, width_ = 0, height_ = 0;
    bool raw_ = false;
};

}  // namespace

std::unique_ptr<ImageSet> open_npy(const SetSource& source) {
    return std::make_unique<NpySet>(source.path);
}

}  // namespace gs::detail
