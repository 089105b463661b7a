// Maps as the backends of one kind store them: float32, or bfloat16. An operation test draws its maps from
// here, already rounded to what will be stored, computes its reference from them in double, and runs on the
// backends of that kind: inputs are then exact, and of an error only the rounding of the output is left, at
// most 2^-8 of the value.
#pragma once

#include "tests/support/backends.h"
#include "tests/support/device_tensor.h"
#include "tests/support/expect_close.h"
#include "tests/support/random.h"

namespace gs::test {

inline float as_bf16(float value) {
    return static_cast<float>(Bf16(value));
}

class Maps {
  public:
    explicit Maps(DType type) : type_(type) {}
    DType type() const { return type_; }
    bool is_float() const { return type_ == DType::F32; }

    std::vector<float> rounded(std::vector<float> values) const {
        if (!is_float())
            for (float& value : values) value = as_bf16(value);
        return values;
    }
    ref::Tensor<float> rounded(ref::Tensor<float> values) const {
        values.values = rounded(std::move(values.values));
        return values;
    }
    ref::Tensor<float> random(const Shape& shape, Fill fill, uint64_t seed) const {
        return rounded(random_tensor(shape, fill, seed));
    }

    DeviceTensor put(Backend& backend, const ref::Tensor<float>& values) const {
        return {backend, values, type_};
    }
    DeviceTensor output(Backend& backend, const Shape& shape) const { return {backend, shape, type_}; }

    // Of an output map whose float32 errs by `tol` of the largest. 0: what is stored is the exact result,
    // rounded once.
    Tolerance tolerance(double tol) const { return {tol, is_float() ? Rounding::None : Rounding::Bf16}; }

    const std::vector<BackendUnderTest>& backends() const { return backends_under_test(type_); }
    template <class F>
    void on_every_backend(const F& test, bool exact_only = true) const {
        gs::test::on_every_backend(test, exact_only, type_);
    }
    template <class F>
    void on_every_backend_and_default(const F& test) const {
        on_every_backend(test, false);
    }

  private:
    DType type_;
};

// Runs `test(maps)` for every type that a backend under test stores maps as.
template <class F>
void on_every_map_type(const F& test) {
    for (const DType type : {DType::F32, DType::BF16}) {
        if (backends_under_test(type).empty()) continue;
        SCOPED_TRACE(type == DType::F32 ? "float32 maps" : "bfloat16 maps");
        test(Maps(type));
    }
}

}  // namespace gs::test
