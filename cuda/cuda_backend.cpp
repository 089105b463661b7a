#include "cuda/cuda_backend.h"

#include <limits>

#include "core/contract.h"
#include "cuda/convolution.h"
#include "cuda/kernels/pointwise.h"
#include "cuda/recording.h"

namespace gs {

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
    return std::make_unique<cuda::CudaBackend>(options);
}

namespace cuda {
namespace {

const char* name_of(Precision precision) {
    switch (precision) {
        case Precision::F32:
            return "float32";
        case Precision::TF32:
            return "tf32";
        case Precision::BF16:
            break;
    }
    return "bfloat16";
}

}  // namespace

CudaBackend::CudaBackend(const CudaOptions& options)
    : context_(std::make_shared<Context>(options)), engine_(make_convolution_engine(*context_)) {}

std::string CudaBackend::description() const {
    const DeviceProperties& device = context_->device();
    return "cuda:" + std::to_string(device.ordinal) + ": " + device.name + ", compute capability " +
           device.capability_text() + ", " + engine_->description() + ", " +
           name_of(context_->options().precision) +
           (context_->options().deterministic ? ", deterministic" : "") +
           (context_->options().wgmma_norms ? ", norms by wgmma" : "");
}

DType CudaBackend::map_type() const {
    return context_->options().precision == Precision::BF16 ? DType::BF16 : DType::F32;
}

// Large batches fill the device; half of what is free leaves room for scratch memory and for other programs.
// Not every engine of cuDNN indexes maps of 2^31 elements.
WorkingSet CudaBackend::working_set() const {
    size_t free = 0, total = 0;
    context_->make_current();
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    return {.cache_bytes = 0,
            .memory_bytes = free / 2,
            .most_images = 64,
            .most_elements = std::numeric_limits<int32_t>::max()};
}

std::unique_ptr<Recording> CudaBackend::record(const std::function<void()>& work) {
    if (!records_) return nullptr;
    auto recording = record_graph(context_, work);
    records_ = recording != nullptr;
    return recording;
}

Buffer CudaBackend::allocate(size_t bytes) {
    auto memory = std::make_shared<DeviceMemory>(context_->memory(bytes));
    void* data = memory->data();
    return Buffer(data, bytes, [memory = std::move(memory), context = context_](void*) {});
}

void CudaBackend::upload(std::span<const float> host, View to) {
    contract::upload(host, to);
    uploads_.upload(*context_, host, to.data);
}

void CudaBackend::announce_upload(std::span<const float> host) {
    uploads_.announce(*context_, host);
}

void CudaBackend::download(View from, std::span<float> host) {
    contract::download(from, host);
    if (host.empty()) return;
    check(cudaMemcpyAsync(host.data(), from.data, from.bytes(), cudaMemcpyDeviceToHost, context_->stream()),
          "copy of " + to_string(from.shape) + " to the host");
    synchronize();
}

void CudaBackend::synchronize() {
    check(cudaStreamSynchronize(context_->stream()), "wait for the device");
}

std::unique_ptr<Convolution> CudaBackend::make_convolution(const ConvSpec& spec,
                                                           std::span<const float> weights,
                                                           std::span<const float> bias) {
    contract::make_convolution(spec, weights, bias);
    if (spec.groups == 1) return make_dense_convolution(context_, engine_, spec, weights, bias);
    return make_depthwise_convolution(context_, spec, weights, bias);
}

void CudaBackend::activate(View x, Activation activation, View y) {
    cuda::activate(*context_, x, activation, y);
}

}  // namespace cuda
}  // namespace gs
