// Reads safetensors: an 8-byte length, a JSON header, the bytes of all tensors without holes or overlaps.
// Source: https://github.com/huggingface/safetensors (README, "Format").
#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "core/printable.h"
#include "weights/formats.h"

namespace gs::weights {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the reference implementation's limit
constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxDimensions = 64;

struct Entry {
    StoredTensor tensor;
    uint64_t begin = 0, end = 0;
};

std::optional<StoredType> type_of(std::string_view name) {
    for (int i = 0; i <= static_cast<int>(StoredType::Bool); ++i)
        if (to_string(static_cast<StoredType>(i)) == name) return static_cast<StoredType>(i);
    return std::nullopt;
}

// Builds entries straight from the parser's events: no tree in memory, a fixed depth, and duplicate keys are
// seen.
class Header : public nlohmann::json_sax<nlohmann::json> {
  public:
    Header(const Input& input, WeightFile& file) : input_(input), file_(file) {}
    std::vector<Entry> entries;

    bool null() override { unexpected("null"); }
    bool boolean(bool) override { unexpected("a boolean"); }
    bool number_integer(int64_t) override { unexpected("a negative number"); }
    bool number_float(double, const std::string&) override { unexpected("a fraction"); }
    bool binary(binary_t&) override { unexpected("binary data"); }

    bool number_unsigned(uint64_t value) override {
        if (field_ != Field::Shape && field_ != Field::Offsets) unexpected("a number");
        if (!in_array_) unexpected("a number");
        if (numbers_.size() == kMaxDimensions) fail("more than 64 dimensions");
        numbers_.push_back(value);
        return true;
    }
    bool string(std::string& text) override {
        if (place_ == Place::Metadata) {
            if (!file_.metadata.emplace(key_, text).second)
                fail("key '" + printable(key_) + "' appears twice");
        } else if (field_ == Field::Type && place_ == Place::Tensor) {
            const auto type = type_of(text);
            if (!type)
                fail("type '" + printable(text, 20) + "' is not supported; convert to F32, F16 or BF16");
            entries.back().tensor.type = *type;
            done(Field::Type);
        } else {
            unexpected("a string");
        }
        return true;
    }
    bool start_object(std::size_t) override {
        if (place_ == Place::Outside) {
            place_ = Place::Top;
        } else if (place_ == Place::Top) {
            place_ = name_ == "__metadata__" ? Place::Metadata : Place::Tensor;
            if (place_ == Place::Tensor) begin_tensor();
        } else {
            unexpected("an object");
        }
        return true;
    }
    bool key(std::string& key) override {
        if (place_ == Place::Top) {
            if (!names_.insert(key).second) throw_twice(key);
            name_ = key;
        } else if (place_ == Place::Metadata) {
            key_ = key;
        } else {
            field_ = key == "dtype"          ? Field::Type
                     : key == "shape"        ? Field::Shape
                     : key == "data_offsets" ? Field::Offsets
                                             : Field::None;
            if (field_ == Field::None) fail("unknown key '" + printable(key) + "'");
            if (seen(field_)) fail("key '" + printable(key) + "' appears twice");
        }
        return true;
    }
    bool end_object() override {
        if (place_ == Place::Tensor && !(seen(Field::Type) && seen(Field::Shape) && seen(Field::Offsets)))
            fail("dtype, shape or data_offsets is missing");
        place_ = place_ == Place::Top ? Place::Outside : Place::Top;
        field_ = Field::None;
        return true;
    }
    bool start_array(std::size_t) override {
        if (in_array_ || (field_ != Field::Shape && field_ != Field::Offsets)) unexpected("an array");
        in_array_ = true;
        numbers_.clear();
        return true;
    }
    bool end_array() override {
        in_array_ = false;
        if (field_ == Field::Offsets) {
            if (numbers_.size() != 2) fail("data_offsets are not two numbers");
            entries.back().begin = numbers_[0];
            entries.back().end = numbers_[1];
        } else {
            for (const uint64_t size : numbers_) {
                if (size > INT64_MAX) fail("a size beyond 63 bits");
                entries.back().tensor.shape.push_back(static_cast<int64_t>(size));
            }
        }
        done(field_);
        return true;
    }
    bool parse_error(std::size_t at, const std::string&, const nlohmann::json::exception&) override {
        input_.fail("safetensors header: malformed JSON at byte " + std::to_string(at) +
                    "; the file is damaged");
    }

  private:
    enum class Place { Outside, Top, Metadata, Tensor };
    enum class Field { None, Type, Shape, Offsets };

    [[noreturn]] void fail(const std::string& why) const {
        input_.fail("safetensors header: '" + printable(name_) + "': " + why);
    }
    [[noreturn]] void throw_twice(const std::string& name) const {
        input_.fail("safetensors header: '" + printable(name) + "' appears twice");
    }
    [[noreturn]] void unexpected(const std::string& found) const { fail(found + " where none belongs"); }

    void begin_tensor() {
        if (entries.size() == input_.limits.max_tensors)
            input_.fail("more than the limit of " + std::to_string(input_.limits.max_tensors) + " tensors");
        entries.emplace_back().tensor.name = name_;
        seen_ = {};
    }
    bool seen(Field field) const { return seen_[static_cast<size_t>(field)]; }
    void done(Field field) {
        seen_[static_cast<size_t>(field)] = true;
        field_ = Field::None;
    }

    const Input& input_;
    WeightFile& file_;
    Place place_ = Place::Outside;
    Field field_ = Field::None;
    bool in_array_ = false;
    std::array<bool, 4> seen_{};
    std::string name_, key_;
    std::vector<uint64_t> numbers_;
    std::set<std::string> names_;
};

// Sorted by place, the spans must tile the data exactly, and each must be what shape and type say.
void place_tensors(const Input& input, std::vector<Entry>& entries, std::span<const std::byte> data) {
    // Tensors without elements share their place with the next one, which may stand before them in the
    // header.
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t at = 0;
    for (Entry& entry : entries) {
        const auto fail = [&](const std::string& why) {
            input.fail("safetensors: tensor '" + printable(entry.tensor.name) + "' " + why);
        };
        if (entry.begin != at) fail(entry.begin < at ? "overlaps the one before" : "leaves a hole before it");
        if (entry.end < entry.begin || entry.end > data.size())
            fail("ends at byte " + std::to_string(entry.end) + " of " + std::to_string(data.size()) +
                 (entry.end > data.size() ? "; the file is truncated" : ", before it begins"));
        const int64_t elements =
            checked_elements(input, entry.tensor.name, entry.tensor.shape, entry.tensor.type);
        const uint64_t bytes = static_cast<uint64_t>(elements) * bytes_per_element(entry.tensor.type);
        if (bytes != entry.end - entry.begin)
            fail("takes " + std::to_string(entry.end - entry.begin) + " bytes, its shape and type need " +
                 std::to_string(bytes));
        entry.tensor.storage = data.subspan(entry.begin, bytes);
        at = entry.end;
    }
    if (at != data.size())
        input.fail("safetensors: " + std::to_string(data.size() - at) + " bytes after the last tensor");
}

uint64_t header_length(const Input& input) {
    uint64_t length = 0;
    std::memcpy(&length, input.bytes.data(), kLengthBytes);
    return length;
}

}  // namespace

bool looks_like_safetensors(const Input& input) {
    const std::string_view text = input.text();
    if (text.size() <= kLengthBytes || text[kLengthBytes] != '{') return false;
    // A length beyond the limit is an error of a safetensors file only where the next byte agrees, too.
    return header_length(input) <= kMaxHeader || text.substr(kLengthBytes).starts_with("{\"");
}

void read_safetensors(const Input& input, WeightFile& file) {
    file.format = "safetensors";
    const uint64_t length = header_length(input);
    if (length > kMaxHeader)
        input.fail("safetensors header of " + std::to_string(length) + " bytes; the format allows 100 MB");
    if (length > input.bytes.size() - kLengthBytes)
        input.fail("safetensors header of " + std::to_string(length) +
                   " bytes goes beyond the end; the file is truncated");
    const auto json = input.text().substr(kLengthBytes, length);
    Header header(input, file);
    nlohmann::json::sax_parse(json.begin(), json.end(), &header);
    place_tensors(input, header.entries, input.bytes.subspan(kLengthBytes + length));
    for (Entry& entry : header.entries) file.tensors.push_back(std::move(entry.tensor));
}

}  // namespace gs::weights
