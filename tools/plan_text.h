// A plan for people: passes, depth, work and memory.
#pragma once

#include <string>
#include <vector>

#include "passes/plan.h"

namespace gs {

// 1.81e9, "FLOP" -> "1.81 GFLOP".
std::string human(double value, const char* unit);

// "forward     20 layers, 40.8 MFLOP an image", a line a backward pass with its cotangents below, memory.
std::vector<std::string> plan_lines(const Net& net, const Plan& plan);

}  // namespace gs
