// The seeds of the fuzz targets of train/'s readers.
#include <gtest/gtest.h>

#include "tests/support/corpus.h"
#include "train/checkpoint.h"
#include "train/recipe.h"

namespace gs::train {
namespace {

TEST(Corpus, Recipes) {
    test::replay("recipe", ErrorKind::Usage, [](std::string_view text) {
        const Recipe recipe = read_recipe(text, "corpus");
        EXPECT_EQ(read_recipe(to_toml(recipe), "again"), recipe);
        check_recipe(recipe);
    });
}

TEST(Corpus, Checkpoints) {
    test::replay("checkpoint", ErrorKind::Weights, [](std::string_view text) {
        checkpoint_of(read_weights_from_memory(std::as_bytes(std::span(text)), "corpus"));
    });
}

}  // namespace
}  // namespace gs::train
