#include "weights/torch_tensor.h"

#include <algorithm>

#include "core/printable.h"
#include "weights/torch_types.h"

namespace gs::weights {
namespace {

using pickle::Value;

constexpr std::string_view kRebuild = "torch._utils._rebuild_tensor",
                           kRebuildV2 = "torch._utils._rebuild_tensor_v2",
                           kRebuildV3 = "torch._utils._rebuild_tensor_v3",
                           kParameter = "torch._utils._rebuild_parameter",
                           kParameterWithState = "torch._utils._rebuild_parameter_with_state",
                           kFromType = "torch._tensor._rebuild_from_type_v2";
constexpr size_t kMaxDimensions = 64;  // PyTorch's own limit

bool rebuilds(std::string_view callee) {
    return callee == kRebuild || callee == kRebuildV2 || callee == kRebuildV3;
}

// A reader of one record; every failure names the tensor.
class Record {
  public:
    Record(const Input& input, const std::string& name) : input_(input), name_(name) {}

    [[noreturn]] void fail(const std::string& why) const {
        input_.fail("tensor '" + printable(name_) + "': " + why);
    }

    StoredTensor read(const Value& value, const StorageBytes& storage) const {
        std::string_view callee;
        const pickle::List& arguments = unwrap(value, callee);
        const bool v3 = callee == kRebuildV3;
        const size_t least = callee == kRebuild ? 4 : v3 ? 7 : 6;
        if (arguments.items.size() < least || arguments.items.size() > least + 1)
            fail(std::to_string(arguments.items.size()) + " arguments for " + std::string(callee));
        if (least != 4 && arguments.items.size() == least + 1) check_metadata(*arguments.items[least]);

        const auto* id = arguments.items[0]->as<pickle::PersistentId>();
        if (id == nullptr) fail("its storage is no reference to one");
        StorageUse use = storage_use(input_, *id);
        StoredTensor tensor;
        tensor.name = name_;
        tensor.type = v3 ? dtype(*arguments.items[6], use) : stored_type(use);
        tensor.shape = sizes(*arguments.items[2], "size");
        tensor.strides = sizes(*arguments.items[3], "stride");
        checked_elements(input_, name_, tensor.shape, tensor.type);
        place(tensor, integer(*arguments.items[1], "offset"), use, storage);
        return tensor;
    }

  private:
    // Takes parameters and typed tensors apart down to the call that rebuilds the tensor itself.
    const pickle::List& unwrap(const Value& value, std::string_view& callee) const {
        constexpr int kMostLayers = 4;
        const Value* at = &value;
        for (int layer = 0; layer < kMostLayers; ++layer) {
            const auto* call = at->as<pickle::Call>();
            if (call == nullptr) fail("is no tensor");
            if (call->keywords != nullptr || call->state != nullptr || !call->appended.items.empty() ||
                !call->set.items.empty())
                fail("carries more than a tensor's record");
            const auto& arguments = *call->arguments->as<pickle::List>();
            callee = call->callee;
            if (rebuilds(callee)) return arguments;
            if (callee == kFromType) return typed(arguments, callee);
            if (callee != kParameter && callee != kParameterWithState)
                fail("is made by " + printable(callee));
            if (arguments.items.empty()) fail("a parameter without data");
            at = arguments.items[0];
        }
        fail("a parameter of a parameter of a parameter");
    }
    // _rebuild_from_type_v2(function, type, arguments, state): a tensor with attributes of its own, which we
    // leave.
    const pickle::List& typed(const pickle::List& outer, std::string_view& callee) const {
        if (outer.items.size() != 4) fail("a malformed typed tensor");
        const auto* function = outer.items[0]->as<pickle::Global>();
        const auto* type = outer.items[1]->as<pickle::Global>();
        const auto* arguments = outer.items[2]->as<pickle::List>();
        if (function == nullptr || type == nullptr || arguments == nullptr || !rebuilds(function->name))
            fail("a malformed typed tensor");
        if (type->name != "torch.Tensor" && type->name != "torch.nn.parameter.Parameter")
            fail("is of type " + printable(type->name));
        callee = function->name;
        return *arguments;
    }

    // {'conj': True} and {'neg': True} mark views whose bytes mean something else.
    void check_metadata(const Value& metadata) const {
        if (metadata.as<pickle::None>() != nullptr) return;
        const auto* dict = metadata.as<pickle::Dict>();
        if (dict == nullptr) fail("malformed metadata");
        for (const auto& [key, value] : dict->items)
            if (value->as<bool>() == nullptr || *value->as<bool>())
                fail("is a lazy conjugate or negative; save a copy");
    }

    StoredType stored_type(const StorageUse& use) const {
        if (!use.type) fail("type " + std::string(use.type_name) + " is not supported; save it as float32");
        return *use.type;
    }
    // The tensor's own type over untyped bytes: from here on the storage counts elements of it.
    StoredType dtype(const Value& value, StorageUse& use) const {
        const auto* global = value.as<pickle::Global>();
        const TorchType* type = global == nullptr ? nullptr : find_dtype(global->name);
        if (type == nullptr) fail("a malformed dtype");
        if (!type->type) fail("type " + std::string(type->name) + " is not supported; save it as float32");
        if (!use.untyped) fail("a dtype of its own over a typed storage");
        if (use.view_offset != 0 || use.view_elements != use.elements)
            fail("a dtype over a part of untyped bytes, which PyTorch does not write");
        const auto width = static_cast<int64_t>(type->width);
        use.view_elements = use.elements / width;
        return *type->type;
    }

    int64_t integer(const Value& value, const char* what) const {
        const int64_t* number = value.as<int64_t>();
        if (number == nullptr || *number < 0)
            fail(std::string("its ") + what + " is no number of at least 0");
        return *number;
    }
    std::vector<int64_t> sizes(const Value& value, const char* what) const {
        const Value* at = &value;
        if (const auto* call = at->as<pickle::Call>(); call != nullptr && call->callee == "torch.Size") {
            const auto& arguments = *call->arguments->as<pickle::List>();
            if (arguments.items.size() == 1) at = arguments.items[0];
        }
        const auto* list = at->as<pickle::List>();
        if (list == nullptr) fail(std::string("its ") + what + " is no tuple");
        if (list->items.size() > kMaxDimensions) fail("more than 64 dimensions");
        std::vector<int64_t> numbers;
        for (const Value* item : list->items) numbers.push_back(integer(*item, what));
        return numbers;
    }

    // Checks that every element of the view lies in its storage, and points the tensor at its first one.
    void place(StoredTensor& tensor, int64_t offset, const StorageUse& use,
               const StorageBytes& storage) const {
        if (tensor.shape.size() != tensor.strides.size()) fail("its size and stride differ in length");
        const int64_t elements = tensor.elements();
        if (elements > 0) {
            int64_t last = offset;
            bool overflow = false;
            for (size_t d = 0; d < tensor.shape.size(); ++d) {
                int64_t reach = 0;
                overflow = __builtin_mul_overflow(tensor.shape[d] - 1, tensor.strides[d], &reach) || overflow;
                overflow = __builtin_add_overflow(last, reach, &last) || overflow;
            }
            if (overflow || last >= use.view_elements)
                fail("reaches beyond its storage of " + std::to_string(use.view_elements) + " elements");
            if (elements > use.view_elements)
                fail("repeats its storage (an expanded view); save a contiguous copy");
            const auto first = static_cast<size_t>(use.view_offset + offset) * bytes_per_element(tensor.type);
            tensor.storage = storage(use).subspan(first);
        }
        if (is_contiguous(tensor)) tensor.strides.clear();
        if (tensor.strides.empty())
            tensor.storage =
                tensor.storage.first(static_cast<size_t>(elements) * bytes_per_element(tensor.type));
    }
    static bool is_contiguous(const StoredTensor& tensor) {
        if (tensor.elements() == 0) return true;
        int64_t stride = 1;
        for (size_t d = tensor.shape.size(); d-- > 0;) {
            if (tensor.shape[d] != 1 && tensor.strides[d] != stride) return false;
            stride *= tensor.shape[d];
        }
        return true;
    }

    const Input& input_;
    const std::string& name_;
};

}  // namespace

StorageUse storage_use(const Input& input, const pickle::PersistentId& id) {
    const auto fail = [&](const std::string& why) { input.fail("a storage reference " + why); };
    const auto* parts = id.id->as<pickle::List>();
    const size_t count = parts == nullptr ? 0 : parts->items.size();
    if (count < 1 || pickle::text(*parts->items[0]) != "storage")
        fail("of unknown kind (a whole model, not a state_dict?)");
    if (count != 5 && count != 6) fail("of " + std::to_string(count) + " parts");
    const auto* global = parts->items[1]->as<pickle::Global>();
    const TorchType* type = global == nullptr ? nullptr : find_storage_type(global->name);
    const auto key = pickle::text(*parts->items[2]);
    const int64_t* elements = parts->items[4]->as<int64_t>();
    if (type == nullptr) fail("without a storage type");
    if (!key) fail("without a key");
    if (elements == nullptr || *elements < 0) fail("without a size");
    StorageUse use{*key, type->name, type->type, type->width, type->untyped, *elements, 0, *elements};

    int64_t bytes = 0;
    if (__builtin_mul_overflow(use.elements, static_cast<int64_t>(use.width), &bytes))
        fail("of more than 63 bits");
    const Value* view = count == 6 ? parts->items[5] : nullptr;
    if (view == nullptr || view->as<pickle::None>() != nullptr) return use;
    const auto* view_parts = view->as<pickle::List>();  // (view key, offset, elements)
    if (view_parts == nullptr || view_parts->items.size() != 3) fail("with a malformed view");
    const int64_t *offset = view_parts->items[1]->as<int64_t>(), *size = view_parts->items[2]->as<int64_t>();
    const bool inside = offset != nullptr && size != nullptr && *offset >= 0 && *size >= 0 &&
                        *offset <= use.elements && *size <= use.elements - *offset;
    if (!inside) fail("with a view beyond its storage");
    use.view_offset = *offset;
    use.view_elements = *size;
    return use;
}

bool is_tensor(const Value& value) {
    const auto* call = value.as<pickle::Call>();
    return call != nullptr && (rebuilds(call->callee) || call->callee == kParameter ||
                               call->callee == kParameterWithState || call->callee == kFromType);
}

bool is_scalar(const Value& tensor) {
    const auto* call = tensor.as<pickle::Call>();
    if (call != nullptr && call->callee == kParameter) {
        const auto& inner = call->arguments->as<pickle::List>()->items;
        call = inner.empty() ? nullptr : inner[0]->as<pickle::Call>();
    }
    if (call == nullptr || !rebuilds(call->callee)) return false;
    const auto& arguments = call->arguments->as<pickle::List>()->items;
    const auto* size = arguments.size() < 3 ? nullptr : arguments[2]->as<pickle::List>();
    return size != nullptr && size->items.empty();
}

StoredTensor read_tensor(const Input& input, const std::string& name, const Value& value,
                         const StorageBytes& storage) {
    return Record(input, name).read(value, storage);
}

}  // namespace gs::weights
