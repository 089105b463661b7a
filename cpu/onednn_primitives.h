// What oneDNN's convolutions are run with: memory formats of weights, and primitives with their arguments.
#pragma once

#if defined(GRADSCORE_HAS_ONEDNN)

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <string_view>
#include <vector>

#include "cpu/memory.h"
#include "cpu/onednn.h"

namespace gs::cpu::onednn {

using dnnl::memory;
using Tag = memory::format_tag;

constexpr auto kF32 = memory::data_type::f32;

// One engine and stream for the process: neither has any state of ours.
struct Library {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
};
inline const Library& library() {
    static const Library instance;
    return instance;
}

[[noreturn]] inline void rethrow(const dnnl::error& error) {
    const bool memory_is_out = error.status == dnnl_out_of_memory;
    throw Error(memory_is_out ? ErrorKind::Device : ErrorKind::Internal,
                std::string("cpu: oneDNN: ") + error.what() +
                    (memory_is_out ? "; use a smaller --batch or a smaller image" : ""));
}

inline void reorder(const memory::desc& from, void* from_data, const memory::desc& to, void* to_data) {
    const auto& [engine, stream] = library();
    memory source(from, engine, from_data), destination(to, engine, to_data);
    dnnl::stream running = stream;
    dnnl::reorder(source, destination).execute(running, source, destination);
    running.wait();
}

// The weights in every format that some shape asked for. The copy in PyTorch's order is given up as soon as
// another exists: formats are turned into each other without loss.
class WeightFormats {
  public:
    WeightFormats(const memory::dims& dims, Tag plain, std::span<const float> weights)
        : plain_(dims, kF32, plain) {
        Copy copy{plain_, allocate_aligned(weights.size_bytes())};
        std::copy(weights.begin(), weights.end(), static_cast<float*>(copy.buffer.data()));
        copies_.push_back(std::move(copy));
    }
    void* get(const memory::desc& wanted) {
        for (const Copy& copy : copies_) {
            if (copy.desc == wanted) return copy.buffer.data();
        }
        Copy made{wanted, allocate_aligned(wanted.get_size())};
        reorder(copies_.front().desc, copies_.front().buffer.data(), wanted, made.buffer.data());
        if (copies_.front().desc == plain_) copies_.clear();
        copies_.push_back(std::move(made));
        return copies_.back().buffer.data();
    }
    const memory::desc& plain_desc() const { return plain_; }
    // A copy for the caller; none that only this call needed stays behind.
    std::vector<float> plain() {
        const size_t before = copies_.size();
        const auto* data = static_cast<const float*>(get(plain_));
        std::vector<float> weights(data, data + plain_.get_size() / sizeof(float));
        if (copies_.size() > before) copies_.pop_back();
        return weights;
    }

  private:
    struct Copy {
        memory::desc desc;
        Buffer buffer;
    };
    memory::desc plain_;
    std::vector<Copy> copies_;
};

// A primitive with its arguments, those that change from run to run first; running it allocates nothing of
// ours.
class Prepared {
  public:
    template <class Desc>
    Prepared(const Desc& desc, const dnnl::primitive& primitive)
        : primitive_(primitive), scratch_bytes_(desc.scratchpad_desc().get_size()) {
        add(DNNL_ARG_SCRATCHPAD, desc.scratchpad_desc(), nullptr);
    }
    void add(int name, const memory::desc& desc, void* data) {
        memories_.emplace_back(desc, library().engine, data);
        arguments_.push_back({name, memories_.back().get()});
    }
    // data: of the leading arguments.
    void run(Scratch& scratch, std::initializer_list<void*> data) {
        size_t argument = 0;
        set(argument, scratch.get<std::byte>(scratch_bytes_));
        for (void* pointer : data) set(++argument, pointer);
        dnnl::error::wrap_c_api(
            dnnl_primitive_execute(primitive_.get(), library().stream.get(),
                                   static_cast<int>(arguments_.size()), arguments_.data()),
            "could not run a convolution");
        dnnl::error::wrap_c_api(dnnl_stream_wait(library().stream.get()), "could not wait");
    }

    memory::desc desc(size_t argument) const {
        return memories_[argument + 1].get_desc();
    }  // a leading one's

  private:
    void set(size_t argument, void* data) { memories_[argument].set_data_handle(data); }

    dnnl::primitive primitive_;
    size_t scratch_bytes_;
    std::vector<memory> memories_;  // scratchpad, what changes, then the constants
    std::vector<dnnl_exec_arg_t> arguments_;
};

template <class Desc>
bool is_reference(const Desc& desc) {
    return std::string_view(desc.impl_info_str()).starts_with("ref");
}

// The first implementation that is not oneDNN's reference code, or nothing.
template <class Make>
auto best_implementation(const Make& make) -> std::optional<decltype(make())> {
    try {
        auto desc = make();
        while (is_reference(desc)) {
            if (!desc.next_impl()) return std::nullopt;
        }
        return desc;
    } catch (const dnnl::error& error) {
        if (error.status == dnnl_unimplemented) return std::nullopt;
        throw;
    }
}

}  // namespace gs::cpu::onednn

#endif
