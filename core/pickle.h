// Reads pickles without executing anything: an interpreter of pickle's opcodes (protocols 0 to 5) that builds
// plain values. There are no callables behind it: a global is a *name*, kept only if the caller's allow-list
// has it, and REDUCE, BUILD and NEWOBJ only record what would have been called. What to make of the records
// is the caller's. Used for PyTorch checkpoints (weights/) and for the Python version of CIFAR (data/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"

namespace gs::pickle {

// Values live in an arena that `Parsed` owns, and refer to each other by plain pointers: sharing costs
// nothing and destruction never recurses. A value may be reached along many paths (that is how pickles share
// objects, and how hostile ones make 2^100 paths out of 100 lists), so code that walks everything must
// remember what it has seen.
struct Value;
using ValuePtr = const Value*;

struct None {};
struct Bytes {
    // bytes, bytearray, and Python 2's str. Points into the pickle or the arena: both must outlive the
    // values.
    std::span<const std::byte> bytes;
};
struct BigInt {
    // An integer beyond int64: little-endian two's complement, or empty where the pickle spells it in
    // decimal.
    std::span<const std::byte> bytes;
};
struct List {
    std::vector<ValuePtr> items;  // list, tuple, set and frozenset alike
};
struct Dict {
    std::vector<std::pair<ValuePtr, ValuePtr>> items;  // in insertion order, duplicates kept
};
struct Global {
    std::string_view name;  // "module.attribute", always one the allow-list accepted
};
struct Call {  // REDUCE, NEWOBJ, OBJ, INST of a global, and what was added to the result afterwards
    std::string_view callee;       // "module.attribute"
    ValuePtr arguments = nullptr;  // List
    ValuePtr keywords = nullptr;   // Dict (NEWOBJ_EX only), or null
    ValuePtr state = nullptr;      // BUILD's argument, or null
    List appended;                 // APPEND, APPENDS, ADDITEMS
    Dict set;                      // SETITEM, SETITEMS
};
struct PersistentId {
    ValuePtr id = nullptr;
};

struct Value {
    // std::string_view: text (UTF-8, checked), in the pickle or in the arena.
    std::variant<None, bool, int64_t, double, std::string_view, Bytes, BigInt, List, Dict, Global,
                 std::unique_ptr<Call>, PersistentId>
        data;
    uint32_t index = 0;  // of this value in Parsed::values: for whoever keeps a table of what was seen

    template <class T>
    const T* as() const {
        if constexpr (std::is_same_v<T, Call>) {
            const auto* call = std::get_if<std::unique_ptr<Call>>(&data);
            return call == nullptr ? nullptr : call->get();
        } else {
            return std::get_if<T>(&data);
        }
    }
};

// Text, or Python 2's str, which pickles cannot tell from bytes; empty where the value is neither.
std::optional<std::string_view> text(const Value& value);

// The value under a text key of a Dict, or null: not a Dict, or no such key. The last one wins, as in Python.
ValuePtr find(const Value& dict, std::string_view key);

struct Limits {
    size_t max_objects = 4'000'000;  // values built, memo entries, stack slots and marks, each
    size_t max_depth = 200;          // nesting of containers
};

// Owns all values of one pickle; movable. The bytes parsed must outlive it.
struct Parsed {
    ValuePtr value = nullptr;
    size_t consumed =
        0;  // bytes up to and including STOP; legacy PyTorch files hold several pickles in a row
    std::deque<Value> values;       // every value built, in the order of the pickle
    std::deque<std::string> texts;  // decoded strings and names
};

// Parses one pickle from the start of `bytes`. `allowed(name)` decides on "module.attribute"; a refused
// global throws Error(kind) "WHAT: refused: the pickle names MODULE.ATTRIBUTE, …". Truncated, malformed,
// unknown, cyclic, too deep or too large pickles throw Error(kind) with the offset. `what` is the file's
// name, for messages.
Parsed parse(std::span<const std::byte> bytes, const std::function<bool(std::string_view)>& allowed,
             const std::string& what, ErrorKind kind, const Limits& limits = {});

}  // namespace gs::pickle
