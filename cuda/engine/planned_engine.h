// The engine of dense convolutions over any source of algorithms.
#pragma once

#include "cuda/convolution_engine.h"
#include "cuda/engine/algorithm.h"
#include "cuda/plans/choice_file.h"

namespace gs::cuda {

std::unique_ptr<ConvolutionEngine> make_planned_engine(Context& context,
                                                       std::unique_ptr<AlgorithmSource> source,
                                                       const ChoiceFile::Notice& notice);

}  // namespace gs::cuda
