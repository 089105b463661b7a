// A net's weights that a test may change before they are read.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "weights/weight_file.h"

namespace gs::test {

class EditableWeights {
  public:
    struct Item {
        std::string name;
        std::vector<int64_t> shape;
        std::vector<float> values;
    };

    EditableWeights() = default;
    explicit EditableWeights(const WeightFile& file) {
        for (const StoredTensor& tensor : file.tensors)
            items.push_back({tensor.name, tensor.shape, to_float32(tensor)});
    }

    Item& at(const std::string& name) {
        return *std::find_if(items.begin(), items.end(), [&](const Item& item) { return item.name == name; });
    }
    void erase(const std::string& name) {
        std::erase_if(items, [&](const Item& item) { return item.name == name; });
    }
    void add(const std::string& name, const std::vector<int64_t>& shape, float value = 0.5f) {
        int64_t count = 1;
        for (const int64_t extent : shape) count *= extent;
        items.push_back({name, shape, std::vector<float>(static_cast<size_t>(count), value)});
    }
    void rename(const std::string& from, const std::string& to) {
        for (Item& item : items)
            if (item.name.starts_with(from)) item.name.replace(0, from.size(), to);
    }

    // Reads this object's memory.
    WeightFile file() const {
        WeightFile file;
        file.path = "net.safetensors";
        file.format = "safetensors";
        for (const Item& item : items)
            file.tensors.push_back(
                {item.name, StoredType::F32, item.shape, {}, std::as_bytes(std::span(item.values))});
        file.bytes = std::as_bytes(std::span(items.front().values));
        return file;
    }

    std::vector<Item> items;
};

}  // namespace gs::test
