// Kind svhn: the cropped digits, a MATLAB file with X uint8 [32, 32, 3, N] and y [N, 1].
#include <matio.h>

#include <algorithm>

#include "data/mat_check.h"
#include "data/sets.h"

namespace gs::detail {
namespace {

struct Close {
    void operator()(mat_t* file) const { Mat_Close(file); }
    void operator()(matvar_t* variable) const { Mat_VarFree(variable); }
};
using MatFile = std::unique_ptr<mat_t, Close>;
using MatVariable = std::unique_ptr<matvar_t, Close>;

constexpr size_t kMaxImages = 2'000'000;  // SVHN's `extra` part has 531,131

[[noreturn]] void bad(const std::string& path, const std::string& what) {
    throw Error(ErrorKind::Data,
                path + ": " + what + "; needed are SVHN's X uint8 [32, 32, 3, N] and y [N, 1]");
}

std::span<const size_t> dimensions(const matvar_t& variable) {
    return {variable.dims, variable.dims != nullptr ? static_cast<size_t>(variable.rank) : 0};
}

// The number of images. A single image is stored without the last dimension.
size_t check_images(const matvar_t& x, const std::string& path) {
    const std::span<const size_t> dims = dimensions(x);
    const bool shape = (dims.size() == 3 || dims.size() == 4) && dims[0] == ArraySet::kSide &&
                       dims[1] == ArraySet::kSide && dims[2] == 3;
    if (!shape || x.class_type != MAT_C_UINT8 || x.isComplex != 0) bad(path, "its X is something else");
    const size_t count = dims.size() == 4 ? dims[3] : 1;
    if (count > kMaxImages) bad(path, "its X holds " + std::to_string(count) + " images");
    return count;
}

void read_data(mat_t* file, matvar_t& variable, const std::string& path) {
    if (Mat_VarReadDataAll(file, &variable) != 0 || variable.data == nullptr)
        bad(path, std::string("its ") + variable.name + " cannot be read (damaged file?)");
}

template <class T>
std::vector<int64_t> copy_labels(const matvar_t& y, size_t count) {
    const T* values = static_cast<const T*>(y.data);
    std::vector<int64_t> labels(count);
    // Digit 0 is stored as 10.
    for (size_t i = 0; i < count; ++i) {
        const auto label = static_cast<double>(values[i]);
        labels[i] = label >= 0 && label < 10 ? static_cast<int64_t>(label) : label == 10 ? 0 : -1;
    }
    return labels;
}

std::vector<int64_t> read_labels(mat_t* file, size_t count, const std::string& path) {
    const MatVariable y(Mat_VarReadInfo(file, "y"));
    if (!y) bad(path, "there is no y");
    size_t elements = 1;
    for (size_t length : dimensions(*y))
        elements = length > kMaxImages ? 0 : std::min(elements * length, kMaxImages + 1);
    if (elements != count || y->isComplex != 0) bad(path, "its y does not have a label for each image");
    if (y->class_type != MAT_C_UINT8 && y->class_type != MAT_C_DOUBLE) bad(path, "its y is of another type");
    read_data(file, *y, path);
    return y->class_type == MAT_C_UINT8 ? copy_labels<uint8_t>(*y, count) : copy_labels<double>(*y, count);
}

}  // namespace

std::unique_ptr<ImageSet> open_svhn(const SetSource& source) {
    const std::string& path = source.path;
    check_mat_file(MappedFile(path, ErrorKind::Data).bytes(), path);
    const MatFile file(Mat_Open(path.c_str(), MAT_ACC_RDONLY));
    if (!file) bad(path, "not a MATLAB file");
    const std::shared_ptr<matvar_t> x(Mat_VarReadInfo(file.get(), "X"), Close{});
    if (!x) bad(path, "there is no X");
    const size_t count = check_images(*x, path);
    read_data(file.get(), *x, path);
    const std::vector<int64_t> labels = read_labels(file.get(), count, path);

    auto set = std::make_unique<ArraySet>(ArraySet::Order::ColumnMajor);
    const std::span<const std::byte> all(static_cast<const std::byte*>(x->data), count * ArraySet::kBytes);
    for (size_t i = 0; i < count; ++i)
        set->add(all.subspan(i * ArraySet::kBytes, ArraySet::kBytes), labels[i]);
    set->keep(x);
    return set;
}

}  // namespace gs::detail
