// The globals that a PyTorch checkpoint may name. None of them is ever called: the list decides what counts
// as an honest checkpoint, so that anything else is reported by name instead of being skipped over.
#include <algorithm>
#include <array>

#include "core/printable.h"
#include "weights/torch_state.h"
#include "weights/torch_types.h"

namespace gs::weights {
namespace {

constexpr std::array<std::string_view, 47> kAllowed = {
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_parameter_with_state",
    "torch._tensor._rebuild_from_type_v2",
    "torch.Tensor",
    "torch.nn.parameter.Parameter",
    "torch.Size",
    "torch.device",
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.Counter",
    "argparse.Namespace",
    "_codecs.encode",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy.dtypes.Float32DType",
    "numpy.dtypes.Float64DType",
    "numpy.dtypes.Int32DType",
    "numpy.dtypes.Int64DType",
    "pathlib.PosixPath",  // hyperparameters and versions beside the weights: records that nothing reads
    "pathlib.PurePosixPath",
    "pathlib._local.PosixPath",
    "pathlib._local.PurePosixPath",
    "torch.torch_version.TorchVersion",
    "builtins.set",
    "builtins.frozenset",
    "builtins.list",
    "builtins.dict",
    "builtins.tuple",
    "builtins.int",
    "builtins.float",
    "builtins.bytearray",
    "builtins.complex",
    "__builtin__.set",
    "__builtin__.frozenset",
    "__builtin__.list",
    "__builtin__.dict",
    "__builtin__.tuple",
    "__builtin__.int",
    "__builtin__.float",
    "__builtin__.bytearray",
};

bool allowed(std::string_view name) {
    return std::find(kAllowed.begin(), kAllowed.end(), name) != kAllowed.end() ||
           find_storage_type(name) != nullptr || find_dtype(name) != nullptr;
}

}  // namespace

pickle::Parsed parse_torch_pickle(const Input& input, std::span<const std::byte> bytes,
                                  const std::string& what) {
    const auto allow = [&](std::string_view name) {
        if (allowed(name)) return true;
        if (name == "torch._utils._rebuild_qtensor")
            input.fail("holds quantised tensors; dequantise first: save the state_dict() of the float net");
        input.fail("refused: the pickle names " + printable(name) +
                   ", which is no part of a state dict (nothing was executed); save model.state_dict() with "
                   "torch.save");
    };
    return pickle::parse(bytes, allow, what, ErrorKind::Weights);
}

}  // namespace gs::weights
