// Reads pickles without executing anything: an interpreter of pickle's opcodes (protocols 0 to 5) that builds
// plain values. There are no callables behind it: a global is a *name*, kept only if the caller's allow-list
// has it, and REDUCE, BUILD and NEWOBJ only record what would have been called. What to make of the records
// is the caller's. Used for PyTorch checkpoints (weights/) and for the Python version of CIFAR (data/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/error.h"

namespace gs::pickle {

struct Value;
using ValuePtr = std::shared_ptr<const Value>;

struct None {};
struct Bytes {
    std::span<const std::byte> bytes;  // points into the pickle, which must outlive the values
};
struct List {
    std::vector<ValuePtr> items;  // list, tuple, set and frozenset alike
};
struct Dict {
    std::vector<std::pair<ValuePtr, ValuePtr>> items;  // in insertion order, duplicates kept
};
struct Global {
    std::string name;  // "module.attribute", always one the allow-list accepted
};
struct Call {  // REDUCE, NEWOBJ, OBJ, INST of a global, and what BUILD, APPENDS or SETITEMS added afterwards
    std::string callee;
    ValuePtr arguments;  // List
    ValuePtr state;      // BUILD's argument, or null
    List appended;
    Dict set;
};
struct PersistentId {
    ValuePtr id;
};

struct Value {
    std::variant<None, bool, int64_t, double, std::string, Bytes, List, Dict, Global, Call, PersistentId>
        data;

    template <class T>
    const T* as() const {
        return std::get_if<T>(&data);
    }
};

struct Limits {
    size_t max_objects = 4'000'000;  // values built, memo entries and stack slots together
    size_t max_depth = 200;          // nesting of containers
};

struct Parsed {
    ValuePtr value;
    size_t consumed =
        0;  // bytes up to and including STOP; legacy PyTorch files hold several pickles in a row
};

// Parses one pickle from the start of `bytes`. `allowed(name)` decides on "module.attribute"; a refused
// global throws Error(kind) "WHAT: refused: the pickle names MODULE.ATTRIBUTE, …". Truncated, malformed,
// unknown, too deep or too large pickles throw Error(kind) with the offset. `what` is the file's name, for
// messages.
Parsed parse(std::span<const std::byte> bytes, const std::function<bool(std::string_view)>& allowed,
             const std::string& what, ErrorKind kind, const Limits& limits = {});

}  // namespace gs::pickle
