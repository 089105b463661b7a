#include "cpu/cpu_backend.h"

#include <cctype>
#include <cstring>

#include "core/contract.h"
#include "cpu/convolution.h"

namespace gs {

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
    // OpenMP's own default respects the process's affinity mask and OMP_NUM_THREADS.
    const int threads = options.threads > 0 ? options.threads : omp_get_max_threads();
    auto context = std::make_shared<cpu::Context>(threads, cpu::best_kernels());
#if defined(GRADSCORE_HAS_ONEDNN)
    const bool use_onednn = options.use_onednn;
#else
    const bool use_onednn = false;
#endif
    if (options.precision == Precision::TF32)
        throw Error(ErrorKind::Device, "--precision tf32: the CPU has no such products; use f32 or bf16");
    const bool bf16 = options.precision == Precision::BF16;
    if (bf16 && options.use_onednn) cpu::require_bf16();
    if (bf16) context->map_type = DType::BF16;
    return std::make_unique<cpu::CpuBackend>(std::move(context), use_onednn, options.winograd && !bf16);
}

namespace cpu {

void require_bf16() {
#if defined(GRADSCORE_HAS_ONEDNN)
    const char* lacks = "this processor has no instructions for bfloat16 (AVX-512 BF16 or AMX)";
    if (onednn_has_bf16()) return;
#else
    const char* lacks = "this build has no oneDNN";
#endif
    throw Error(ErrorKind::Device,
                std::string("--precision bf16: ") + lacks + ", it would be slower than f32; use f32");
}

CpuBackend::CpuBackend(std::shared_ptr<Context> context, bool use_onednn, bool winograd)
    : context_(std::move(context)), use_onednn_(use_onednn), winograd_(winograd) {}

std::string CpuBackend::description() const {
    std::string isa = kernels().isa;
    if (isa == "avx2") isa = "AVX2";
    if (isa == "avx512") isa = "AVX-512";
    std::string convolutions = "own convolutions";
#if defined(GRADSCORE_HAS_ONEDNN)
    if (use_onednn_) convolutions = "oneDNN " + onednn_version();
#endif
    if (winograd_) convolutions += " and Winograd";
    if (map_type() == DType::BF16) convolutions += " in bfloat16";
    return "cpu: " + convolutions + ", " + isa + ", " + std::to_string(context_->threads) +
           (context_->threads == 1 ? " thread" : " threads");
}

Buffer CpuBackend::allocate(size_t bytes) {
    return allocate_aligned(bytes);
}

void CpuBackend::upload(std::span<const float> host, View to) {
    contract::upload(host, to);
    if (!host.empty()) std::memcpy(to.data, host.data(), host.size_bytes());
}

void CpuBackend::download(View from, std::span<float> host) {
    contract::download(from, host);
    if (!host.empty()) std::memcpy(host.data(), from.data, host.size_bytes());
}

std::unique_ptr<Convolution> CpuBackend::make_convolution(const ConvSpec& spec,
                                                          std::span<const float> weights,
                                                          std::span<const float> bias) {
    contract::make_convolution(spec, weights, bias);
    MakeConvolution direct = make_plain_convolution;
#if defined(GRADSCORE_HAS_ONEDNN)
    if (use_onednn_) direct = make_onednn_convolution;
#endif
    if (winograd_ && winograd_pays(spec)) {
        return make_winograd_convolution(context_, spec, weights, bias, direct);
    }
    return direct(context_, spec, weights, bias);
}

}  // namespace cpu
}  // namespace gs
