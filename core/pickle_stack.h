// Part of core/pickle.cpp: the values of a pickle under construction: arena, stack with marks, memo.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "core/pickle_reader.h"

namespace gs::pickle {

class Stack : protected Reader {
  protected:
    Stack(std::span<const std::byte> bytes, const std::string& what, ErrorKind kind, const Limits& limits)
        : Reader(bytes, what, kind), limits_(limits) {}

    template <class T>
    Value* make(T&& data) {
        if (out_.values.size() >= limits_.max_objects) fail("too many objects");
        Value& value = out_.values.emplace_back();
        value.data = std::forward<T>(data);
        value.index = static_cast<uint32_t>(out_.values.size() - 1);
        return &value;
    }
    template <class T>
    void push(T&& data) {
        push_value(make(std::forward<T>(data)));
    }
    void push_value(Value* value) {
        if (stack_.size() >= limits_.max_objects) fail("too many values on the stack");
        stack_.push_back(value);
    }
    void push_mark() {
        if (marks_.size() >= limits_.max_objects) fail("too many marks on the stack");
        marks_.push_back(stack_.size());
    }

    // Nothing is ever taken from below the last mark.
    Value* top() const {
        const size_t floor = marks_.empty() ? 0 : marks_.back();
        if (stack_.size() <= floor) fail("the stack is empty");
        return stack_.back();
    }
    Value* pop() {
        Value* value = top();
        stack_.pop_back();
        return value;
    }
    std::vector<ValuePtr> pop_to_mark() {
        if (marks_.empty()) fail("no mark on the stack");
        const auto from = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
        std::vector<ValuePtr> items(from, stack_.end());
        stack_.erase(from, stack_.end());
        marks_.pop_back();
        return items;
    }
    std::vector<ValuePtr> pop_count(size_t count) {
        std::vector<ValuePtr> items(count);
        for (size_t i = count; i-- > 0;) items[i] = pop();
        return items;
    }
    // POP, which takes a mark off where one is on top.
    void discard() {
        if (!marks_.empty() && marks_.back() == stack_.size())
            marks_.pop_back();
        else
            pop();
    }

    void put(uint64_t index) {
        memo_[index] = top();
        if (memo_.size() > limits_.max_objects) fail("too many memo entries");
    }
    void memoize() { put(memo_.size()); }
    void get(uint64_t index) {
        const auto found = memo_.find(index);
        if (found == memo_.end()) fail("memo " + std::to_string(index) + " was never stored");
        push_value(found->second);
    }

    Parsed out_;

  private:
    const Limits& limits_;
    std::vector<Value*> stack_;
    std::vector<size_t> marks_;
    std::map<uint64_t, Value*>
        memo_;  // ordered: the pickle chooses the keys, and could choose colliding ones
};

}  // namespace gs::pickle
