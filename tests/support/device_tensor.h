// A tensor on a backend with guard bytes around it. Everything but uploaded values is filled with bytes that
// read as NaN: an output that is not fully written, or an input read beyond its end, poisons the result; a
// write beyond the end is found when the tensor dies.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "core/backend.h"
#include "tests/reference/tensor.h"

namespace gs::test {

class DeviceTensor {
  public:
    // An output, poisoned.
    DeviceTensor(Backend& backend, const Shape& shape, DType dtype = DType::F32)
        : backend_(&backend), bytes_(View{nullptr, shape, dtype}.bytes()) {
        poisoned_.assign((2 * kGuardBytes + bytes_ + 3) / 4, std::bit_cast<float>(kPoison));
        buffer_ = backend.allocate(poisoned_.size() * sizeof(float));
        backend.upload(poisoned_, whole());
        view_ = {static_cast<std::byte*>(buffer_.data()) + kGuardBytes, shape, dtype};
    }
    // An input, or an output that aliases one.
    DeviceTensor(Backend& backend, const ref::Tensor<float>& values, DType dtype = DType::F32)
        : DeviceTensor(backend, values.shape, dtype) {
        if (dtype == DType::BF16)
            upload_bytes(std::vector<Bf16>(values.values.begin(), values.values.end()));
        else
            backend.upload(values.values, view_);
    }
    DeviceTensor(Backend& backend, const ref::Tensor<uint8_t>& values)
        : DeviceTensor(backend, values.shape, DType::U8) {
        upload_bytes(values.values);
    }
    // A vector of channels, (1,1,1,c).
    DeviceTensor(Backend& backend, const std::vector<float>& channels)
        : DeviceTensor(backend, Shape{1, 1, 1, static_cast<int64_t>(channels.size())}) {
        backend.upload(channels, view_);
    }
    DeviceTensor(DeviceTensor&&) noexcept = default;
    DeviceTensor& operator=(DeviceTensor&&) = delete;
    ~DeviceTensor() {
        if (!buffer_.data()) return;  // moved from
        try {
            check_guards(region());
        } catch (const std::exception& error) {
            ADD_FAILURE() << "guard bytes cannot be read: " << error.what();
        }
    }

    View view() const { return view_; }
    operator View() const { return view_; }

    // Of float32 or bfloat16.
    ref::Tensor<float> download() const {
        ref::Tensor<float> values(view_.shape);
        if (view_.dtype == DType::BF16) {
            const std::vector<Bf16> stored = download_bytes<Bf16>();
            std::transform(stored.begin(), stored.end(), values.values.begin(),
                           [](Bf16 value) { return static_cast<float>(value); });
        } else {
            GS_REQUIRE(view_.dtype == DType::F32);
            backend_->download(view_, values.values);
        }
        return values;
    }
    ref::Tensor<uint8_t> download_u8() const {
        GS_REQUIRE(view_.dtype == DType::U8);
        ref::Tensor<uint8_t> values(view_.shape);
        values.values = download_bytes<uint8_t>();
        return values;
    }
    // How many guard bytes differ from what was put there. Called by the destructor.
    size_t damaged_guard_bytes() const { return damage(region()); }

  private:
    static constexpr size_t kGuardBytes = 256;  // keeps the 64-byte alignment
    // A quiet NaN, as two bfloat16 too; as bytes no valid pooling winner.
    static constexpr uint32_t kPoison = 0x7FE57FE5u;

    // A backend transfers float32 only: other types go as the bytes of the whole region.
    template <class T>
    void upload_bytes(const std::vector<T>& values) {
        std::vector<float> region = poisoned_;
        if (bytes_ > 0)
            std::memcpy(reinterpret_cast<std::byte*>(region.data()) + kGuardBytes, values.data(), bytes_);
        backend_->upload(region, whole());
    }
    template <class T>
    std::vector<T> download_bytes() const {
        std::vector<T> values(bytes_ / sizeof(T));
        const std::vector<float> all = region();
        if (bytes_ > 0)
            std::memcpy(values.data(), reinterpret_cast<const std::byte*>(all.data()) + kGuardBytes, bytes_);
        return values;
    }
    View whole() const { return buffer_.view({1, 1, 1, static_cast<int64_t>(poisoned_.size())}); }
    std::vector<float> region() const {
        std::vector<float> values(poisoned_.size());
        backend_->synchronize();
        backend_->download(whole(), values);
        return values;
    }
    size_t damage(const std::vector<float>& now) const {
        const auto* got = reinterpret_cast<const unsigned char*>(now.data());
        const auto* want = reinterpret_cast<const unsigned char*>(poisoned_.data());
        size_t damaged = 0;
        for (size_t i = 0; i < poisoned_.size() * sizeof(float); ++i)
            damaged += (i < kGuardBytes || i >= kGuardBytes + bytes_) && got[i] != want[i];
        return damaged;
    }
    void check_guards(const std::vector<float>& now) const {
        EXPECT_EQ(damage(now), 0u) << "bytes outside a tensor of " << to_string(view_.shape)
                                   << " were overwritten";
    }

    Backend* backend_;
    size_t bytes_;
    std::vector<float> poisoned_;
    Buffer buffer_;
    View view_;
};

}  // namespace gs::test
