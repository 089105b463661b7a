// Convolutions that are matrix products: cuBLAS, and cuBLASLt where a bias or a ReLU belongs to them.
#include <cstdint>

#include "cuda/cudnn/library_algorithms.h"
#include "cuda/engine/epilogue.h"
#include "cuda/plans/gemm_shape.h"

namespace gs::cuda {

namespace {

// What cuBLAS asks for on the largest devices; without it, some of its products are slower.
constexpr size_t kWorkspace = size_t{32} << 20;

cudaDataType_t type_of(DType type) {
    return type == DType::BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

// In float32 pedantic: no emulation by narrower types, whatever the environment says.
cublasComputeType_t compute_type(const ConvProblem& problem) {
    if (problem.type == DType::BF16) return CUBLAS_COMPUTE_32F;
    return problem.precision == Precision::TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F_PEDANTIC;
}

cudaDataType_t result_type(const ConvProblem& problem) {
    return problem.direction == Direction::Weights ? CUDA_R_32F : type_of(problem.type);
}

void* operand(const Operands& operands, GemmShape::Operand which) {
    switch (which) {
        case GemmShape::Operand::X:
            return operands.x;
        case GemmShape::Operand::W:
            return operands.w;
        case GemmShape::Operand::Y:
            break;
    }
    return operands.y;
}

cublasOperation_t operation(bool transpose) {
    return transpose ? CUBLAS_OP_T : CUBLAS_OP_N;
}

class Gemm final : public Algorithm {
  public:
    Gemm(Libraries& libraries, const ConvProblem& problem)
        : libraries_(libraries), problem_(problem), shape_(gemm_shape(problem)) {}

    std::string name() const override { return "cuBLAS"; }
    size_t workspace() const override { return kWorkspace; }

    void enqueue(const Operands& operands, void* workspace) override {
        cublasHandle_t blas = libraries_.blas();
        check(cublasSetWorkspace(blas, workspace, kWorkspace), "cublasSetWorkspace");
        const float one = 1.0f, zero = 0.0f;
        const GemmShape& s = shape_;
        const cudaDataType_t type = type_of(problem_.type);
        check(cublasGemmEx(blas, operation(s.transpose_a), operation(s.transpose_b), as_int(s.m), as_int(s.n),
                           as_int(s.k), &one, operand(operands, s.a), type, as_int(s.lda),
                           operand(operands, s.b), type, as_int(s.ldb), &zero, operand(operands, s.c),
                           result_type(problem_), as_int(s.ldc), compute_type(problem_), CUBLAS_GEMM_DEFAULT),
              "cublasGemmEx");
    }

  private:
    static int as_int(int64_t value) { return static_cast<int>(value); }

    Libraries& libraries_;
    ConvProblem problem_;
    GemmShape shape_;
};

struct Destroy {
    void operator()(cublasLtMatmulDesc_t desc) const { cublasLtMatmulDescDestroy(desc); }
    void operator()(cublasLtMatrixLayout_t layout) const { cublasLtMatrixLayoutDestroy(layout); }
    void operator()(cublasLtMatmulPreference_t preference) const {
        cublasLtMatmulPreferenceDestroy(preference);
    }
};
using Product = std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroy>;
using Layout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy>;
using Preference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Destroy>;

template <class T>
void set(const Product& product, cublasLtMatmulDescAttributes_t name, const T& value) {
    check(cublasLtMatmulDescSetAttribute(product.get(), name, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
}

template <class T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t name, const T& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference.get(), name, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
}

Layout make_layout(cudaDataType_t type, bool transposed, int64_t rows, int64_t columns, int64_t leading) {
    if (transposed) std::swap(rows, columns);
    cublasLtMatrixLayout_t layout = nullptr;
    check(cublasLtMatrixLayoutCreate(&layout, type, static_cast<uint64_t>(rows),
                                     static_cast<uint64_t>(columns), leading),
          "cublasLtMatrixLayoutCreate");
    return Layout(layout);
}

// y = act(x w^T + bias) in one product; the bias is of y's type.
class GemmWithEpilogue final : public Algorithm {
  public:
    GemmWithEpilogue(Context& context, Libraries& libraries, const ConvProblem& problem)
        : context_(context), libraries_(libraries), problem_(problem), shape_(gemm_shape(problem)) {
        cublasLtMatmulDesc_t product = nullptr;
        check(cublasLtMatmulDescCreate(&product, compute_type(problem), CUDA_R_32F),
              "cublasLtMatmulDescCreate");
        product_.reset(product);
        set(product_, CUBLASLT_MATMUL_DESC_TRANSA, operation(shape_.transpose_a));
        set(product_, CUBLASLT_MATMUL_DESC_TRANSB, operation(shape_.transpose_b));
        set(product_, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue());
        const cudaDataType_t type = type_of(problem.type);
        a_ = make_layout(type, shape_.transpose_a, shape_.m, shape_.k, shape_.lda);
        b_ = make_layout(type, shape_.transpose_b, shape_.k, shape_.n, shape_.ldb);
        c_ = make_layout(type, false, shape_.m, shape_.n, shape_.ldc);
    }

    std::string name() const override { return "cuBLASLt"; }
    size_t workspace() const override { return kWorkspace + bias_workspace(problem_); }

    void enqueue(const Operands& operands, void* workspace) override {
        if (problem_.bias)
            set(product_, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                bias_of_type(context_, problem_, operands, workspace));
        if (!chosen_) choose();
        const float one = 1.0f, zero = 0.0f;
        void* y = operands.y;
        check(cublasLtMatmul(libraries_.blas_lt(), product_.get(), &one, operand(operands, shape_.a),
                             a_.get(), operand(operands, shape_.b), b_.get(), &zero, y, c_.get(), y, c_.get(),
                             &algorithm_, static_cast<std::byte*>(workspace) + bias_workspace(problem_),
                             kWorkspace, context_.stream()),
              "cublasLtMatmul");
    }

  private:
    cublasLtEpilogue_t epilogue() const {
        if (problem_.bias && problem_.relu) return CUBLASLT_EPILOGUE_RELU_BIAS;
        return problem_.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_RELU;
    }

    // The first of its heuristics. Partial products are summed in float32, in a fixed order.
    void choose() {
        cublasLtMatmulPreference_t made = nullptr;
        check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
        const Preference preference(made);
        set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspace});
        set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
            uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
        const auto alignment = static_cast<uint32_t>(problem_.alignment);
        for (const auto name :
             {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
            set(preference, name, alignment);
        cublasLtMatmulHeuristicResult_t found{};
        int count = 0;
        check(cublasLtMatmulAlgoGetHeuristic(libraries_.blas_lt(), product_.get(), a_.get(), b_.get(),
                                             c_.get(), c_.get(), preference.get(), 1, &found, &count),
              "cublasLtMatmulAlgoGetHeuristic");
        check(count > 0 ? found.state : CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmulAlgoGetHeuristic");
        algorithm_ = found.algo;
        chosen_ = true;
    }

    Context& context_;
    Libraries& libraries_;
    ConvProblem problem_;
    GemmShape shape_;
    Product product_;
    Layout a_, b_, c_;
    cublasLtMatmulAlgo_t algorithm_{};
    bool chosen_ = false;
};

}  // namespace

Algorithms make_gemms(Context& context, Libraries& libraries, const ConvProblem& problem) {
    Algorithms gemms;
    if (problem.bias || problem.relu) {
        gemms.push_back(std::make_unique<GemmWithEpilogue>(context, libraries, problem));
        gemms.push_back(with_epilogue(context, problem, std::make_unique<Gemm>(libraries, problem)));
    } else {
        gemms.push_back(std::make_unique<Gemm>(libraries, problem));
    }
    return gemms;
}

}  // namespace gs::cuda
