#include "cuda/cudnn/operation.h"

namespace gs::cuda {

namespace {

cudnnDataType_t type_of(DType type) {
    GS_REQUIRE(type == DType::F32 || type == DType::BF16);
    return type == DType::F32 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16;
}

// The attributes of the three kinds of convolution: the same by other names.
struct ConvolutionNames {
    cudnnBackendDescriptorType_t operation;
    cudnnBackendAttributeName_t geometry, x, w, y, alpha, beta;
};

ConvolutionNames names_of(Direction direction) {
    switch (direction) {
        case Direction::Forward:
            return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
        case Direction::Data:
            return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
        case Direction::Weights:
            break;
    }
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

}  // namespace

OperationGraph::OperationGraph(const ConvProblem& problem, const PlanTarget& target)
    : problem_(problem), graph_(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
    GS_REQUIRE(problem.spec.groups == 1 && problem.x.c == problem.spec.in_channels);
    GS_REQUIRE(!problem.bias || problem.direction == Direction::Forward);
    GS_REQUIRE(!problem.relu || problem.bias);
    graph_.set_all(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations());
    target.aim_graph(graph_);
    graph_.finalize();
}

// The convolution, and what follows it: tensors between operations are float32 and never stored.
std::vector<const Descriptor*> OperationGraph::operations() {
    if (!problem_.bias) return {&convolution(y())};
    const Descriptor& sum = tensor(TensorId::Sum, problem_.y(), CUDNN_DATA_FLOAT, false);
    const Descriptor& bias =
        tensor(TensorId::Bias, {1, 1, 1, problem_.spec.out_channels}, type_of(problem_.type));
    const Descriptor& first = convolution(sum);
    if (!problem_.relu) return {&first, &pointwise(CUDNN_POINTWISE_ADD, sum, &bias, y())};
    const Descriptor& biased = tensor(TensorId::Biased, problem_.y(), CUDNN_DATA_FLOAT, false);
    const Descriptor& second = pointwise(CUDNN_POINTWISE_ADD, sum, &bias, biased);
    return {&first, &second, &pointwise(CUDNN_POINTWISE_RELU_FWD, biased, nullptr, y())};
}

const Descriptor& OperationGraph::keep(Descriptor descriptor) {
    descriptor.finalize();
    return parts_.emplace_back(std::move(descriptor));
}

// cuDNN counts dimensions as (n,c,h,w) whatever their order in memory; filters are (out,in,kh,kw).
const Descriptor& OperationGraph::tensor(TensorId id, const Shape& shape, cudnnDataType_t type, bool stored) {
    Descriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, static_cast<int64_t>(id))
        .set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, problem_.alignment)
        .set_all(CUDNN_ATTR_TENSOR_DIMENSIONS, {shape.n, shape.c, shape.h, shape.w})
        .set_all(CUDNN_ATTR_TENSOR_STRIDES, {shape.per_sample(), 1, shape.w * shape.c, shape.c});
    if (!stored) tensor.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, true);
    return keep(std::move(tensor));
}

const Descriptor& OperationGraph::x() {
    return tensor(TensorId::X, problem_.x, type_of(problem_.type));
}

const Descriptor& OperationGraph::w() {
    const ConvSpec& s = problem_.spec;
    return tensor(TensorId::W, {s.out_channels, s.kernel_h, s.kernel_w, s.in_channels},
                  type_of(problem_.type));
}

const Descriptor& OperationGraph::y() {
    return tensor(TensorId::Y, problem_.y(), type_of(problem_.type));
}

const Descriptor& OperationGraph::geometry() {
    const ConvSpec& s = problem_.spec;
    Descriptor geometry(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    geometry.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2})
        .set_all(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {s.pad, s.pad})
        .set_all(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {s.pad, s.pad})
        .set_all(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {s.stride, s.stride})
        .set_all(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1});
    return keep(std::move(geometry));
}

const Descriptor& OperationGraph::convolution(const Descriptor& result) {
    const ConvolutionNames names = names_of(problem_.direction);
    Descriptor operation(names.operation);
    operation.set(names.geometry, geometry())
        .set(names.x, x())
        .set(names.w, w())
        .set(names.y, result)
        .set(names.alpha, 1.0f)
        .set(names.beta, 0.0f);
    return keep(std::move(operation));
}

// out = in + bias, or mode(in).
const Descriptor& OperationGraph::pointwise(cudnnPointwiseMode_t mode, const Descriptor& in,
                                            const Descriptor* bias, const Descriptor& out) {
    Descriptor function(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    function.set(CUDNN_ATTR_POINTWISE_MODE, mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    // Deprecated, but nothing else says that a ReLU of NaN is to be NaN.
    if (mode == CUDNN_POINTWISE_RELU_FWD)
        function.set(CUDNN_ATTR_POINTWISE_NAN_PROPAGATION, CUDNN_PROPAGATE_NAN);
    const Descriptor& kept = keep(std::move(function));
    Descriptor operation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    operation.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, kept)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, in)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, out);
    if (bias != nullptr) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *bias);
    return keep(std::move(operation));
}

}  // namespace gs::cuda
