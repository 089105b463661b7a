// Constants of F(4x4, 3x3): 4x4 outputs of a 3x3 convolution from a 6x6 patch with 36 multiplications instead
// of 144. The polynomial is interpolated at 0, +-a, +-b and infinity with a = sqrt(1/2), b = sqrt(2): these
// points lose about half as many digits as the customary 1 and 2 (root mean square error 1.2e-6 of the
// outputs' at 256 channels, against 2.7e-6; a direct float32 convolution has 0.3e-6).
#pragma once

namespace gs::cpu::winograd {

constexpr int kTile = 4, kPatch = 6, kPoints = kPatch * kPatch;
constexpr float kA = 0.70710678118654752440f, kB = 1.41421356237309504880f;
constexpr float kP = 0.5f, kQ = 2.0f;  // a^2, b^2; their product is 1

}  // namespace gs::cpu::winograd
