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
inline memory::data_type type_of(DType type) {
    return type == DType::BF16 ? memory::data_type::bf16 : kF32;
}

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

// From one format to another; running it allocates nothing of ours.
class Reorder {
  public:
    Reorder(const memory::desc& from, const memory::desc& to)
        : from_(from, library().engine, nullptr),
          to_(to, library().engine, nullptr),
          primitive_(from_, to_) {}
    void run(const void* from, void* to) {
        from_.set_data_handle(const_cast<void*>(from));  // oneDNN's type has no place for const
        to_.set_data_handle(to);
        dnnl::stream stream = library().stream;
        primitive_.execute(stream, from_, to_);
        stream.wait();
    }

  private:
    memory from_, to_;
    dnnl::reorder primitive_;
};

// The weights in every format and type that some shape asked for. Until one has, there is a copy in PyTorch's
// order; it is given up as soon as another of float32 exists: formats are turned into each other without
// loss.
class WeightFormats {
  public:
    WeightFormats(const memory::dims& dims, Tag plain, std::span<const float> weights)
        : plain_(dims, kF32, plain) {
        copies_.push_back({plain_, allocate_aligned(plain_.get_size())});
        std::copy(weights.begin(), weights.end(), static_cast<float*>(copies_.back().buffer.data()));
    }
    // Stays where it is.
    void* get(const memory::desc& wanted) {
        for (Copy& copy : copies_) {
            if (copy.desc != wanted) continue;
            copy.asked_for = true;
            return copy.buffer.data();
        }
        Copy made{wanted, allocate_aligned(wanted.get_size()), true};
        void* data = made.buffer.data();
        const auto exact = first_exact();
        Reorder(exact->desc, wanted).run(exact->buffer.data(), data);
        // Kept once it is filled; in the place of one that nobody has asked for, or beside the others.
        if (!exact->asked_for && type_of(wanted) == kF32)
            *exact = std::move(made);
        else
            copies_.push_back(std::move(made));
        return data;
    }
    const memory::desc& plain_desc() const { return plain_; }
    // In PyTorch's order.
    std::vector<float> plain() {
        std::vector<float> weights(plain_.get_size() / sizeof(float));
        const auto exact = first_exact();
        Reorder(exact->desc, plain_).run(exact->buffer.data(), weights.data());
        return weights;
    }
    // Other weights, in PyTorch's order. What may fail comes first: never some copies of the old ones.
    void set(const float* weights) {
        for (Copy& copy : copies_)
            if (!copy.from_plain) copy.from_plain.emplace(plain_, copy.desc);
        for (Copy& copy : copies_) copy.from_plain->run(weights, copy.buffer.data());
    }

  private:
    struct Copy {
        memory::desc desc;
        Buffer buffer;
        bool asked_for = false;
        std::optional<Reorder> from_plain{};  // made at the first use
    };
    std::vector<Copy>::iterator first_exact() {
        return std::find_if(copies_.begin(), copies_.end(),
                            [](const Copy& copy) { return type_of(copy.desc) == kF32; });
    }
    memory::desc plain_;
    std::vector<Copy> copies_;  // one of float32 at least
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

// oneDNN's reference code is far slower than ours; and the sums of 3.7's data gradients of strided
// convolutions are of an order that depends on the batch and the threads.
constexpr auto is_optimised = [](const auto& desc) {
    const std::string_view name = desc.impl_info_str();
    return !name.starts_with("ref") && !name.starts_with("brgconv_strided");
};

// 2.6's brgconv gives strided convolutions of small maps to threads by channels, too, and the order of their
// sums then depends on batch and threads: on 12 threads from 512 channels of 14x14 on, seen up to 48
// positions of the output. Elsewhere it is the faster one, by a fifth to a half for kernels of 3x3.
constexpr int64_t kFewPositions = 128;
constexpr auto is_optimised_of_few_positions = [](const auto& desc) {
    return is_optimised(desc) && !std::string_view(desc.impl_info_str()).starts_with("brgconv");
};

}  // namespace gs::cpu::onednn

#endif
