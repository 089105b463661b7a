#include "cuda/cudnn/graph.h"

#include <algorithm>
#include <array>

namespace gs::cuda {

namespace {

bool is_the_machines(cudnnStatus_t status) {
    return status == CUDNN_STATUS_NOT_INITIALIZED || status == CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED ||
           status == CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH ||
           status == CUDNN_STATUS_NOT_SUPPORTED_INCOMPATIBLE_CUDA_DRIVER ||
           status == CUDNN_STATUS_NOT_SUPPORTED_RUNTIME_PREREQUISITE_MISSING ||
           status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED;
}

std::string last_message() {
    std::array<char, 512> text{};
    cudnnGetLastErrorString(text.data(), text.size());
    std::string line(text.data());
    std::replace_if(
        line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return line.empty() ? line : " (" + line + ")";
}

std::string of_type(cudnnBackendDescriptorType_t type) {
    return " of descriptor type " + std::to_string(static_cast<int>(type));
}

}  // namespace

void check(cudnnStatus_t status, const std::string& call) {
    if (status == CUDNN_STATUS_SUCCESS) return;
    throw Error(is_the_machines(status) ? ErrorKind::Device : ErrorKind::Internal,
                call + ": " + cudnnGetErrorString(status) + last_message());
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) : type_(type) {
    check(cudnnBackendCreateDescriptor(type, &handle_), "cudnnBackendCreateDescriptor" + of_type(type));
}

Descriptor::~Descriptor() {
    if (handle_ != nullptr) cudnnBackendDestroyDescriptor(handle_);
}

Descriptor& Descriptor::finalize() {
    check(cudnnBackendFinalize(handle_), "cudnnBackendFinalize" + of_type(type_));
    return *this;
}

bool Descriptor::try_finalize() {
    return cudnnBackendFinalize(handle_) == CUDNN_STATUS_SUCCESS;
}

Descriptor& Descriptor::set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                int64_t count, const void* values) {
    const cudnnStatus_t status = cudnnBackendSetAttribute(handle_, name, type, count, values);
    if (status != CUDNN_STATUS_SUCCESS)
        check(status, "cudnnBackendSetAttribute " + std::to_string(static_cast<int>(name)) + of_type(type_));
    return *this;
}

Descriptor& Descriptor::set_all(cudnnBackendAttributeName_t name,
                                const std::vector<const Descriptor*>& values) {
    std::vector<cudnnBackendDescriptor_t> handles;
    for (const Descriptor* value : values) handles.push_back(value->handle_);
    return set_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(handles.size()), handles.data());
}

void Descriptor::get_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t room,
                         int64_t* count, void* values) const {
    const cudnnStatus_t status = cudnnBackendGetAttribute(handle_, name, type, room, count, values);
    if (status != CUDNN_STATUS_SUCCESS)
        check(status, "cudnnBackendGetAttribute " + std::to_string(static_cast<int>(name)) + of_type(type_));
}

Descriptor Descriptor::get_descriptor(cudnnBackendAttributeName_t name,
                                      cudnnBackendDescriptorType_t type) const {
    Descriptor found(type);
    int64_t count = 0;
    get_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &found.handle_);
    return found;
}

std::vector<Descriptor> Descriptor::get_descriptors(cudnnBackendAttributeName_t name,
                                                    cudnnBackendDescriptorType_t type, int64_t limit) const {
    int64_t count = limit;
    if (limit < 0) get_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr);
    std::vector<Descriptor> found;
    std::vector<cudnnBackendDescriptor_t> handles;
    for (int64_t i = 0; i < count; ++i) handles.push_back(found.emplace_back(type).handle());
    int64_t filled = 0;
    if (count > 0) get_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &filled, handles.data());
    found.erase(found.begin() + std::min(filled, count), found.end());
    return found;
}

PlanTarget::PlanTarget(const std::string& device_json) {
    device_.emplace_back(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)
        .set_all(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::span<const char>(device_json))
        .finalize();
}

void PlanTarget::aim_graph(Descriptor& graph) const {
    if (handle_ != nullptr) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle_);
}

void PlanTarget::aim_heuristics(Descriptor& heuristics) const {
    if (handle_ == nullptr) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device_.front());
}

void PlanTarget::aim_plan(Descriptor& plan) const {
    if (handle_ != nullptr)
        plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle_);
    else
        plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, device_.front());
}

}  // namespace gs::cuda
