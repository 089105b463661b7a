// cuDNN's graph API through its C backend: descriptors with an owner, typed attributes, every call checked.
#pragma once

#include <cudnn_graph.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace gs::cuda {

// Throws Error(Device) for what the machine lacks (memory, a device, a driver), else Error(Internal). The
// message has the call, the status and what cuDNN says about it.
void check(cudnnStatus_t status, const std::string& call);

// How cuDNN calls the type of an attribute. Descriptors have their own functions: cudnnBackendDescriptor_t is
// void*, which here is a pointer to data.
template <class T>
constexpr cudnnBackendAttributeType_t attribute_type();
// clang-format off
template <> constexpr cudnnBackendAttributeType_t attribute_type<int64_t>() { return CUDNN_TYPE_INT64; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<float>() { return CUDNN_TYPE_FLOAT; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<bool>() { return CUDNN_TYPE_BOOLEAN; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<char>() { return CUDNN_TYPE_CHAR; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<void*>() { return CUDNN_TYPE_VOID_PTR; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<cudnnHandle_t>() { return CUDNN_TYPE_HANDLE; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<cudnnDataType_t>() { return CUDNN_TYPE_DATA_TYPE; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<cudnnConvolutionMode_t>() { return CUDNN_TYPE_CONVOLUTION_MODE; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<cudnnNanPropagation_t>() { return CUDNN_TYPE_NAN_PROPOGATION; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<cudnnPointwiseMode_t>() { return CUDNN_TYPE_POINTWISE_MODE; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendHeurMode_t>() { return CUDNN_TYPE_HEUR_MODE; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendKnobType_t>() { return CUDNN_TYPE_KNOB_TYPE; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendNumericalNote_t>() { return CUDNN_TYPE_NUMERICAL_NOTE; }
template <> constexpr cudnnBackendAttributeType_t attribute_type<cudnnBackendBehaviorNote_t>() { return CUDNN_TYPE_BEHAVIOR_NOTE; }
// clang-format on

class Descriptor {
  public:
    explicit Descriptor(cudnnBackendDescriptorType_t type);
    ~Descriptor();
    Descriptor(Descriptor&& other) noexcept
        : type_(other.type_), handle_(std::exchange(other.handle_, nullptr)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(type_, other.type_);
        std::swap(handle_, other.handle_);
        return *this;
    }

    cudnnBackendDescriptor_t handle() const { return handle_; }

    template <class T>
    Descriptor& set(cudnnBackendAttributeName_t name, const T& value) {
        return set_raw(name, attribute_type<T>(), 1, &value);
    }
    Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
        return set_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value.handle_);
    }
    template <class T>
    Descriptor& set_all(cudnnBackendAttributeName_t name, std::span<const T> values) {
        return set_raw(name, attribute_type<T>(), static_cast<int64_t>(values.size()), values.data());
    }
    Descriptor& set_all(cudnnBackendAttributeName_t name, std::initializer_list<int64_t> values) {
        return set_all(name, std::span<const int64_t>(values.begin(), values.size()));
    }
    Descriptor& set_all(cudnnBackendAttributeName_t name, const std::vector<const Descriptor*>& values);
    Descriptor& finalize();
    // Whether finalize() was well received: a plan or an engine that cannot be made is not an error.
    bool try_finalize();

    template <class T>
    T get(cudnnBackendAttributeName_t name) const {
        T value{};
        int64_t count = 0;
        get_raw(name, attribute_type<T>(), 1, &count, &value);
        return value;
    }
    // Lists, at most `limit` of them.
    template <class T>
    std::vector<T> get_all(cudnnBackendAttributeName_t name, int64_t limit) const {
        std::vector<T> values(static_cast<size_t>(limit));
        int64_t count = 0;
        get_raw(name, attribute_type<T>(), limit, &count, values.data());
        values.resize(static_cast<size_t>(std::min(count, limit)));
        return values;
    }
    Descriptor get_descriptor(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t type) const;
    // At most `limit`; -1: as many as there are.
    std::vector<Descriptor> get_descriptors(cudnnBackendAttributeName_t name,
                                            cudnnBackendDescriptorType_t type, int64_t limit = -1) const;

  private:
    Descriptor& set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                        const void* values);
    void get_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t room,
                 int64_t* count, void* values) const;

    cudnnBackendDescriptorType_t type_;
    cudnnBackendDescriptor_t handle_ = nullptr;
};

// The device that plans are for: a real one by its handle, or any by its properties, without having it.
class PlanTarget {
  public:
    explicit PlanTarget(cudnnHandle_t handle) : handle_(handle) {}
    explicit PlanTarget(const std::string& device_json);

    void aim_graph(Descriptor& graph) const;
    void aim_heuristics(Descriptor& heuristics) const;
    void aim_plan(Descriptor& plan) const;

  private:
    cudnnHandle_t handle_ = nullptr;
    std::vector<Descriptor> device_;  // none or one
};

}  // namespace gs::cuda
