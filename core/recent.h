// The last used of what is dear to make.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace gs {

// At most `most` values, 1 or more; where one more is wanted, that which was used the longest ago goes.
// Map: std::map, or std::unordered_map with a hash.
template <class Key, class Value, template <class...> class Map = std::map, class... Rest>
class Recent {
  public:
    explicit Recent(size_t most) : most_(most) {}

    // The key's value, from make() where there is none. The reference holds until the next call. Where make()
    // throws, all stays as it was.
    template <class Make>
    Value& get(const Key& key, const Make& make) {
        auto found = entries_.find(key);
        if (found == entries_.end()) {
            Value made = make();
            if (full()) entries_.erase(oldest());
            found = entries_.emplace(key, Entry{std::move(made)}).first;
        }
        found->second.used = ++now_;
        return found->second.value;
    }
    size_t size() const { return entries_.size(); }
    bool full() const { return entries_.size() >= most_; }  // one more takes the place of another

  private:
    struct Entry {
        Value value;
        uint64_t used = 0;
    };
    auto oldest() const {
        return std::min_element(entries_.begin(), entries_.end(),
                                [](const auto& a, const auto& b) { return a.second.used < b.second.used; });
    }

    size_t most_;
    uint64_t now_ = 0;
    Map<Key, Entry, Rest...> entries_;
};

}  // namespace gs
