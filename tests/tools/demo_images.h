// Tests of the command on the demo's net and images.
#pragma once

#include "tests/support/gradscore.h"
#include "tools/draw_demo.h"

namespace gs::test {

// images/id (30 figures in ten folders), images/ood-textures and images/ood-shapes (12 each).
class DemoImages : public GradscoreTest {
  protected:
    DemoImages() { demo::draw_demo(root_ / "images", {.seed = 3, .id_per_class = 3, .ood = 12}); }

    static inline const std::string kId = "figures=folder:images/id";
    static inline const std::string kTextures = "textures=folder:images/ood-textures";
    static inline const std::string kShapes = "shapes=folder:images/ood-shapes";
    static inline const std::string kMethods =
        "msp,maxlogit,energy,odin:temperature=1000:epsilon=0.0014,gradnorm";
};

}  // namespace gs::test
