#include "scores/group_head.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "core/files.h"
#include "core/npy.h"
#include "core/numbers.h"
#include "core/printable.h"
#include "core/softmax.h"

namespace gs {
namespace {

constexpr int64_t kMostClasses = 10'000'000;

[[noreturn]] void fail(const std::string& name, const std::string& why) {
    throw Error(ErrorKind::Data,
                name + ": " + why + "; a file of groups holds the number of classes of each");
}

// Numbers parted by any of the separators.
std::vector<int64_t> parse_numbers(std::string_view text, std::string_view separators,
                                   const std::string& name) {
    std::vector<int64_t> numbers;
    while (true) {
        text.remove_prefix(std::min(text.find_first_not_of(separators), text.size()));
        if (text.empty()) return numbers;
        const std::string_view word = text.substr(0, text.find_first_of(separators));
        const auto value = parse_number<int64_t>(word);
        if (!value) fail(name, "'" + printable(word, 40) + "' is no whole number");
        numbers.push_back(*value);
        text.remove_prefix(word.size());
    }
}

template <class T>
std::vector<int64_t> widened(const std::vector<std::byte>& native) {
    std::vector<int64_t> numbers(native.size() / sizeof(T));
    for (size_t i = 0; i < numbers.size(); ++i) {
        T value{};
        std::memcpy(&value, native.data() + i * sizeof(T), sizeof(T));
        numbers[i] = static_cast<int64_t>(value);
    }
    return numbers;
}

std::vector<int64_t> parse_npy(std::span<const std::byte> bytes, const std::string& name) {
    const npy::Array array = npy::parse(bytes, name, ErrorKind::Data);
    if (array.shape.size() != 1) fail(name, "not one row of numbers");
    const std::vector<std::byte> native = npy::to_native(array);
    if (array.type == npy::Type::I8) return widened<int64_t>(native);
    if (array.type == npy::Type::I4) return widened<int32_t>(native);
    fail(name, "numbers of type " + std::string(npy::to_string(array.type)) + ", not i8");
}

GroupHead checked(std::vector<int64_t> sizes, const std::string& name) {
    int64_t classes = 0;
    for (const int64_t size : sizes) {
        if (size < 1 || size > kMostClasses - classes)
            fail(name, "a group of " + std::to_string(size) + " classes");
        classes += size;
    }
    if (sizes.empty()) fail(name, "holds no group");
    return {std::move(sizes)};
}

}  // namespace

int64_t GroupHead::classes() const {
    return std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
}

int64_t GroupHead::predict(std::span<const float> z) const {
    GS_REQUIRE(static_cast<int64_t>(z.size()) == logits());
    return argmax_of_groups(z, sizes);
}

GroupHead parse_group_file(std::span<const std::byte> bytes, const std::string& name) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const bool npy = text.starts_with("\x93NUMPY");
    return checked(npy ? parse_npy(bytes, name) : parse_numbers(text, " \t\r\n,", name), name);
}

GroupHead read_group_head(const std::string& text) {
    constexpr size_t kLimit = size_t{1} << 26;
    if (text.empty())
        throw Error(ErrorKind::Usage,
                    "mos needs groups=FILE.npy, FILE.txt or 398+521+…, the number of classes of each group");
    if (text.find_first_not_of("0123456789+") == text.npos)
        return checked(parse_numbers(text, "+", "groups=" + text), "groups=" + text);
    return parse_group_file(read_file(text, ErrorKind::Data, kLimit), text);
}

}  // namespace gs
