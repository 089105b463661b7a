// Asynchronous work of one thread: its open group, then the groups committed before, oldest first. It is done
// by wait() at the latest, in its order within a group.
#pragma once

#include <cstddef>
#include <deque>
#include <utility>
#include <vector>

namespace gs::emulated {

template <class Work>
class AsyncGroups {
  public:
    void start(Work work) { open_.push_back(std::move(work)); }
    void commit() { groups_.push_back(std::exchange(open_, {})); }
    void wait(size_t left) {
        while (groups_.size() > left) {
            for (const Work& work : groups_.front()) work();
            groups_.pop_front();
        }
    }
    void clear() {
        open_.clear();
        groups_.clear();
    }
    bool has_work() const {
        if (!open_.empty()) return true;
        for (const auto& group : groups_)
            if (!group.empty()) return true;
        return false;
    }

  private:
    std::vector<Work> open_;
    std::deque<std::vector<Work>> groups_;
};

}  // namespace gs::emulated
