#include "scores/fit.h"

#include "core/finite.h"

namespace gs {

template <class T>
const std::vector<T>& Array::as() const {
    if (const auto* held = std::get_if<std::vector<T>>(&values)) return *held;
    throw Error(ErrorKind::Data, "statistics: an array is of another type than expected");
}
template const std::vector<float>& Array::as<float>() const;
template const std::vector<double>& Array::as<double>() const;
template const std::vector<int64_t>& Array::as<int64_t>() const;
template const std::vector<uint8_t>& Array::as<uint8_t>() const;

const Array& FitState::array(const std::string& name) const {
    const auto it = arrays.find(name);
    if (it == arrays.end())
        throw Error(ErrorKind::Data, "statistics of '" + method + "': no array '" + name + "'");
    return it->second;
}

void require_finite(std::span<const float> values, const std::string& method, const std::string& what) {
    if (!all_finite(values))
        throw Error(ErrorKind::Data,
                    method + ": an image's " + what + " are not finite: it cannot be fitted on");
}

}  // namespace gs
