// A net's weights as files of every format, made from golden nets' recipes.
#pragma once

#include <bit>
#include <string>
#include <vector>

#include "tests/support/editable_weights.h"
#include "tests/support/golden_net.h"
#include "tests/weights/builders.h"

namespace gs::test {

using Items = std::vector<EditableWeights::Item>;

inline EditableWeights golden_weights(const std::string& name) {
    return EditableWeights(GoldenNet({name}).weights());
}

inline void save_safetensors(const std::filesystem::path& path, const Items& items) {
    std::vector<NamedTensor> tensors;
    for (const auto& item : items)
        tensors.push_back({item.name, StoredType::F32, item.shape, std::as_bytes(std::span(item.values))});
    write_safetensors(path, tensors);
}

// A dict of tensors, each a storage of its own: the pickle of a state dict.
inline std::string state_dict_pickle(const Items& items, const std::string& prefix) {
    using namespace testing_weights;
    std::vector<std::pair<std::string, std::string>> entries;
    for (size_t i = 0; i < items.size(); ++i) {
        std::vector<int64_t> strides(items[i].shape.size(), 1);
        for (size_t d = strides.size(); d-- > 1;) strides[d - 1] = strides[d] * items[i].shape[d];
        const auto count = static_cast<int64_t>(items[i].values.size());
        entries.emplace_back(prefix + items[i].name, tensor(storage("FloatStorage", std::to_string(i), count),
                                                            0, items[i].shape, strides));
    }
    return dict(entries);
}

// torch.save(net.state_dict()), zip format.
inline std::string torch_zip_of(const Items& items) {
    using namespace testing_weights;
    std::vector<ZipItem> entries{{"net/data.pkl", "\x80\x02" + state_dict_pickle(items, "") + "."},
                                 {"net/byteorder", "little"}};
    for (size_t i = 0; i < items.size(); ++i)
        entries.push_back({"net/data/" + std::to_string(i), floats(items[i].values)});
    return zip(entries);
}

// torch.save({'state_dict': DataParallel(net).state_dict()}), legacy format.
inline std::string torch_legacy_of(const Items& items) {
    using namespace testing_weights;
    std::vector<LegacyStorage> storages;
    for (size_t i = 0; i < items.size(); ++i)
        storages.push_back(
            {std::to_string(i), static_cast<int64_t>(items[i].values.size()), floats(items[i].values)});
    return legacy(dict({{"state_dict", state_dict_pickle(items, "module.")}}), storages);
}

// float16, little-endian, cut to its 10 bits of mantissa; too small ones become zero.
inline std::string halves(const std::vector<float>& values) {
    std::string bytes;
    for (const float value : values) {
        const auto bits = std::bit_cast<uint32_t>(value);
        const uint32_t sign = bits >> 16 & 0x8000U, exponent = bits >> 23 & 0xFFU;
        const uint32_t magnitude = exponent <= 112 ? 0 : (exponent - 112) << 10 | (bits >> 13 & 0x3FFU);
        bytes += testing_weights::raw(static_cast<uint16_t>(sign | magnitude));
    }
    return bytes;
}

enum class Float { Single, Half };

inline std::string npy_of(const EditableWeights::Item& item, Float type = Float::Single) {
    std::string shape;
    for (const int64_t extent : item.shape) shape += std::to_string(extent) + ", ";
    const std::string descr = type == Float::Half ? "<f2" : "<f4";
    const std::string header =
        "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (" + shape + "), }";
    return "\x93NUMPY\x01" + std::string(1, '\0') +
           testing_weights::raw(static_cast<uint16_t>(header.size())) + header +
           (type == Float::Half ? halves(item.values) : testing_weights::floats(item.values));
}
inline std::string npz_of(const Items& items, Float type = Float::Single) {
    std::vector<testing_weights::ZipItem> entries;
    for (const auto& item : items) entries.push_back({item.name + ".npy", npy_of(item, type)});
    return testing_weights::zip(entries);
}

// As BiT publishes them: other names, kernels [height, width, in, out] (docs/nets/bit.md).
inline Items as_bit_npz(const Items& items) {
    const auto replaced = [](std::string text, const std::string& from, const std::string& to) {
        const size_t at = text.find(from);
        return at == text.npos ? text : text.replace(at, from.size(), to);
    };
    Items renamed;
    for (const auto& item : items) {
        std::string name = item.name;
        const bool kernel = item.shape.size() == 4;
        name = replaced(name, "root.conv.weight", "root_block/standardized_conv2d/kernel");
        name = replaced(name, "before_head.gn.", "group_norm/");
        name = replaced(name, "head.conv.weight", "head/conv2d/kernel");
        name = replaced(name, "head.conv.bias", "head/conv2d/bias");
        name = replaced(name, "body.", "");
        name = replaced(name, ".unit", "/unit");
        name = replaced(name, ".downsample.weight", "/a/proj/standardized_conv2d/kernel");
        for (const auto& [n, letter] : {std::pair("1", "a"), std::pair("2", "b"), std::pair("3", "c")}) {
            name = replaced(name, std::string(".conv") + n + ".weight",
                            std::string("/") + letter + "/standardized_conv2d/kernel");
            name = replaced(name, std::string(".gn") + n + ".", std::string("/") + letter + "/group_norm/");
        }
        if (name.ends_with("group_norm/weight")) name = replaced(name, "norm/weight", "norm/gamma");
        if (name.ends_with("group_norm/bias")) name = replaced(name, "norm/bias", "norm/beta");
        EditableWeights::Item out{"resnet/" + name, item.shape, item.values};
        if (kernel) {
            const int64_t o = item.shape[0], i = item.shape[1], hw = item.shape[2] * item.shape[3];
            out.shape = {item.shape[2], item.shape[3], i, o};
            for (int64_t p = 0; p < hw; ++p)
                for (int64_t c = 0; c < i; ++c)
                    for (int64_t k = 0; k < o; ++k)
                        out.values[static_cast<size_t>((p * i + c) * o + k)] =
                            item.values[static_cast<size_t>((k * i + c) * hw + p)];
        }
        renamed.push_back(std::move(out));
    }
    return renamed;
}

}  // namespace gs::test
