// Dense convolutions of a device, groups = 1, on its stream: cuDNN's and cuBLAS's (cudnn_engine.cpp), or
// plain loops where the kernels run on the host (tests/emulated_cuda). cuda/convolution.h is what layers see.
#pragma once

#include <memory>
#include <string>

#include "core/backend.h"
#include "cuda/context.h"

namespace gs::cuda {

// Weights on the device, ordered [out][kernel_h][kernel_w][in].
struct DeviceKernel {
    const void* data = nullptr;
    DType type = DType::F32;  // that of x and y
    // For bfloat16 maps, whose bias libraries add in that type: the bias rounded to it; null: rounded at each
    // call.
    const Bf16* rounded_bias = nullptr;
};

// All maps NHWC. x and y are of the same type, F32 or BF16; accumulation in float32. Channels as they are:
// padding of narrow images is the caller's. Each call only enqueues work. Exact zeros as core/backend.h asks:
// neither Winograd, nor FFT, nor narrower types than the precision's.
class ConvolutionEngine {
  public:
    virtual ~ConvolutionEngine() = default;
    virtual std::string description() const = 0;  // "cuDNN 9.19.0, cuBLAS 13.1.0"

    // y = act(w * x + bias); bias float32 [out] or null. Relu6 is not asked for here.
    virtual void forward(const ConvSpec& spec, View x, DeviceKernel w, const float* bias,
                         Activation activation, View y) = 0;
    virtual void backward_data(const ConvSpec& spec, View dy, DeviceKernel w, View dx) = 0;
    // dw: float32, ordered as DeviceKernel; overwritten.
    virtual void backward_weights(const ConvSpec& spec, View x, View dy, float* dw) = 0;
};

std::unique_ptr<ConvolutionEngine> make_convolution_engine(Context& context);

}  // namespace gs::cuda
