// What a build without CUDA does not test.
#if !defined(GRADSCORE_HAS_CUDA)
#include <gtest/gtest.h>

TEST(PlansWithoutADevice, AreNotTestedHere) {
    GTEST_SKIP() << "built without CUDA: cuDNN's plans are not checked";
}
#endif
