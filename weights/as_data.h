// What a reader of weights finds wrong with a file of another kind (statistics, stored arrays) is wrong with
// data.
#pragma once

#include "core/error.h"

namespace gs {

// read(), whose Error(Weights) becomes Error(Data).
template <class Read>
auto as_data(const Read& read) {
    try {
        return read();
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::Weights) throw;
        throw Error(ErrorKind::Data, error.what());
    }
}

}  // namespace gs
