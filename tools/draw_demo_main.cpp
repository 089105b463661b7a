// gradscore-draw-demo OUT_DIR [--seed S] [--id-per-class N] [--ood N]: draws the demo's images as files.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "core/error.h"
#include "tools/demo_shapes.h"
#include "tools/draw_demo.h"

namespace {

int run(int argc, char** argv) {
    CLI::App app{
        "Draws a small out-of-distribution detection task: ten classes of figures, and two sets of others."};
    std::string out;
    gs::demo::DrawOptions options;
    app.add_option("out", out, "new or empty folder")->required();
    app.add_option("--seed", options.seed, "same seed, same images")->capture_default_str();
    app.add_option("--id-per-class", options.id_per_class, "images of each class")
        ->check(CLI::Range(1, 9999))
        ->capture_default_str();
    app.add_option("--ood", options.ood, "images of each out-of-distribution set")
        ->check(CLI::Range(0, 9999))
        ->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : static_cast<int>(gs::ErrorKind::Usage);
    }
    gs::demo::draw_demo(out, options);
    std::printf("%s: %zu classes of %lld images, ood-textures and ood-shapes of %lld\n", out.c_str(),
                gs::demo::kClasses.size(), static_cast<long long>(options.id_per_class),
                static_cast<long long>(options.ood));
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(argc, argv);
    } catch (const gs::Error& error) {
        std::fprintf(stderr, "gradscore-draw-demo: %s\n", error.what());
        return error.exit_code();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "gradscore-draw-demo: %s\n", error.what());
        return static_cast<int>(gs::ErrorKind::Internal);
    }
}
