// Runs of gradscore train: a tiny net on images whose class is their colour.
#pragma once

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/gradscore.h"
#include "tests/support/random.h"
#include "tests/tools/net_files.h"
#include "weights/weight_file.h"

namespace gs::test {

class TrainingTest : public GradscoreTest {
  protected:
    using Json = nlohmann::json;
    static constexpr int kImages = 90, kClasses = 3;

    TrainingTest() {
        write(root_ / "train.bin", coloured(kImages, 1));
        write(root_ / "test.bin", coloured(45, 2));
    }

    // CIFAR-10's binary layout: noise, and the class's channel brighter.
    static std::string coloured(int count, uint64_t seed, int classes = kClasses) {
        SplitMix64 random(seed);
        std::string bytes;
        for (int i = 0; i < count; ++i) {
            const int label = i % classes;
            bytes += static_cast<char>(label);
            for (int p = 0; p < 3072; ++p)
                bytes += static_cast<char>(random.integer(0, 127) + (p / 1024 == label ? 100 : 0));
        }
        return bytes;
    }

    // 3 epochs of 6 steps, the last of them with 10 images.
    Words words(const std::string& out, const Words& more = {}) const {
        Words all{"train",       "resnet20-cifar",
                  "--net",       "wrn-10-1",
                  "--classes",   "3",
                  "--epochs",    "3",
                  "--batch",     "16",
                  "--id",        "cifar10:train.bin",
                  "--validate",  "cifar10:test.bin",
                  "--threads",   "1",
                  "--log-every", "2",
                  "--out",       out};
        return with(std::move(all), more);
    }
    Ran train(const std::string& out, const Words& more = {}, int code = 0) const {
        Ran ran = run(words(out, more));
        EXPECT_EQ(ran.code, code) << ran.err;
        return ran;
    }
    std::string weights(const std::string& out) const { return content(root_ / out / "last.safetensors"); }
    std::string checkpoint(const std::string& out) const {
        return content(root_ / out / "checkpoint.safetensors");
    }

    // The log's lines without what depends on the clock.
    std::vector<Json> log(const std::string& out) const {
        std::istringstream stream(content(root_ / out / "log.jsonl"));
        std::vector<Json> lines;
        for (std::string line; std::getline(stream, line);) {
            Json json = parse_json(line);
            json.erase("seconds");
            json.erase("images_per_second");
            lines.push_back(std::move(json));
        }
        return lines;
    }
    static std::map<std::string, std::string> metadata(const fs::path& file) {
        return read_weights(file).metadata;
    }
};

}  // namespace gs::test
