// Weights on the command line: every format gives the same scores, bad ones one line and exit code 3.
#include <sys/stat.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/support/gradscore.h"
#include "tests/tools/net_files.h"

namespace gs::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

class Weights : public GradscoreTest {
  protected:
    // The CSV of four images of noise.
    std::string scores(const std::string& weights, const std::string& size, const std::string& out) {
        const Ran ran =
            score({"--weights", weights, "--id", "s=synthetic:4:size=" + size, "--resize", "none", "--crop",
                   "none", "--methods", "msp,gradnorm,odin:epsilon=0.001", "--out", out, "--quiet"});
        return ran.code == 0 ? csv(out, "s") : "";
    }
    // The same scores from each file and from what `convert` makes of it.
    void expect_same_scores(const std::vector<std::string>& files, const std::string& net,
                            const std::string& size) {
        const std::string want = scores(files.front(), size, "want");
        for (size_t i = 0; i < files.size(); ++i) {
            const std::string number = std::to_string(i), converted = "converted" + number + ".safetensors";
            EXPECT_EQ(scores(files[i], size, "run" + number), want) << files[i];
            const Ran ran = run({"convert", files[i], converted});
            EXPECT_EQ(ran.code, 0) << ran.err;
            EXPECT_THAT(ran.out, AllOf(HasSubstr(converted), HasSubstr(net)));
            EXPECT_EQ(scores(converted, size, "again" + number), want) << converted;
            const nlohmann::json json = parse_json(run({"inspect", converted, "--json"}).out);
            EXPECT_EQ(json["net"], net);
            EXPECT_EQ(json["metadata"]["net"], net);
            const std::string bytes = content(root_ / files[i]);
            EXPECT_EQ(json["metadata"]["source_sha256"], sha256_hex(std::as_bytes(std::span(bytes))));
        }
        ASSERT_EQ(run({"convert", files.front(), "back.pth", "--quiet"}).code, 0);
        EXPECT_EQ(scores("back.pth", size, "back"), want);
    }
};

TEST_F(Weights, EveryFormatGivesTheSameScores) {
    const Items items = golden_weights("option_a").items;
    save_safetensors(root_ / "net.safetensors", items);
    write(root_ / "net.pth", torch_zip_of(items));
    write(root_ / "net.th", torch_legacy_of(items));
    write(root_ / "net.npz", npz_of(items));
    expect_same_scores({"net.safetensors", "net.pth", "net.th", "net.npz"}, "resnet8-cifar", "32");
}

TEST_F(Weights, BitFromItsOwnFormats) {
    const Items items = golden_weights("bit").items;
    save_safetensors(root_ / "net.safetensors", items);
    write(root_ / "bit.npz", npz_of(as_bit_npz(items)));
    write(root_ / "bit.pth.tar", torch_legacy_of(items));
    const nlohmann::json json = parse_json(run({"inspect", "net.safetensors", "--json"}).out);
    expect_same_scores({"net.safetensors", "bit.npz", "bit.pth.tar"}, json["net"], "48");
}

// Halves are kept as they are stored, but for kernels that are turned round.
TEST_F(Weights, BitOfHalves) {
    write(root_ / "bit.npz", npz_of(as_bit_npz(golden_weights("bit").items), Float::Half));
    const nlohmann::json json = parse_json(run({"inspect", "bit.npz", "--json"}).out);
    EXPECT_EQ(json["tensors"][0]["dtype"], "F16");
    expect_same_scores({"bit.npz"}, json["net"], "48");
}

// Names come from a file that somebody made: nothing in them reaches the terminal as it is.
TEST_F(Weights, NamesAreShownWithoutControlCharacters) {
    EditableWeights odd;
    odd.add(
        "a\x1b[2J.\x7f"
        "b\xc2\x9b",
        {2, 3});
    save_safetensors(root_ / "odd.safetensors", odd.items);
    const Ran ran = run({"inspect", "odd.safetensors"});
    EXPECT_EQ(ran.code, 0);
    EXPECT_THAT(ran.out, AllOf(HasSubstr("a\\x1b[2J\n"), HasSubstr("  \\x7fb\\xc2\\x9b ")));
    const Ran score = run({"score", "--weights", "odd.safetensors", "--id", "s=synthetic:2", "--out", "out"});
    EXPECT_EQ(score.code, 3);
    EXPECT_EQ((ran.out + ran.err + score.err).find_first_of("\x1b\x7f"), std::string::npos);
}

TEST_F(Weights, InspectShowsTheTree) {
    write(root_ / "net.th", torch_legacy_of(golden_weights("option_a").items));
    const Ran ran = run({"inspect", "net.th"});
    EXPECT_EQ(ran.code, 0);
    EXPECT_THAT(ran.out, AllOf(HasSubstr("\nlayer1\n  0\n    conv1\n      weight  "), HasSubstr("F32 ["),
                               HasSubstr("sha256  "), HasSubstr("pytorch-legacy"),
                               HasSubstr("net     resnet8-cifar")));
    EXPECT_THAT(ran.err, AllOf(HasSubstr("notice"), HasSubstr("module."), HasSubstr("state_dict")));
    const nlohmann::json json = parse_json(run({"inspect", "net.th", "--json"}).out);
    EXPECT_EQ(json["format"], "pytorch-legacy");
    EXPECT_GT(json["tensors"].size(), 20u);
    // Tensors of no net are shown all the same.
    EditableWeights other;
    other.add("encoder.weight", {2, 3});
    save_safetensors(root_ / "other.safetensors", other.items);
    const Ran none = run({"inspect", "other.safetensors"});
    EXPECT_EQ(none.code, 0);
    EXPECT_THAT(none.out, AllOf(HasSubstr("[2, 3]"), HasSubstr("net     none: no known net")));
}

// A state dict holds no metadata: what score took from them is said, as flags.
TEST_F(Weights, ConvertToAStateDictSaysWhatItDrops) {
    const EditableWeights weights = golden_weights("option_a");
    const auto with = [&](const std::map<std::string, std::string>& metadata) {
        std::vector<NamedTensor> tensors;
        for (const auto& item : weights.items)
            tensors.push_back(
                {item.name, StoredType::F32, item.shape, std::as_bytes(std::span(item.values))});
        write_safetensors(root_ / "net.safetensors", tensors, metadata);
        return run({"convert", "net.safetensors", "net.pth", "--force", "--quiet"});
    };
    const Ran ran =
        with({{"preprocessing/crop", "none"}, {"preprocessing/mean", "0.5,0.5,0.5"}, {"author", "a\x1b[2J"}});
    EXPECT_EQ(ran.code, 0);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("score needs --crop none --mean 0.5,0.5,0.5\n"),
                               HasSubstr("notice: metadata left out: author\n")));
    EXPECT_EQ(with({}).err, "");
    EXPECT_EQ(with({{"preprocessing/crop", "32"}}).err, "") << "the net's own";
    // What would be refused by score is refused before anything is written.
    EXPECT_EQ(with({{"preprocessing/crop", "-1"}}).code, 3);
}

// The names and a few shapes make no net yet: what score refuses is called by no name.
TEST_F(Weights, InspectAndConvertNameNoNetThatDoesNotFit) {
    EditableWeights weights = golden_weights("option_a");
    weights.add("aux.weight", {3, 3});
    save_safetensors(root_ / "extra.safetensors", weights.items);
    weights.erase("aux.weight");
    weights.erase("layer2.0.bn2.bias");
    save_safetensors(root_ / "missing.safetensors", weights.items);
    for (const auto& [file, fault] : std::map<std::string, std::string>{
             {"extra.safetensors", "resnet8-cifar? does not fit: tensors the net does not have: aux.weight"},
             {"missing.safetensors", "resnet8-cifar? does not fit: missing layer2.0.bn2.bias [32]"}}) {
        EXPECT_THAT(run({"inspect", file}).out, HasSubstr("\nnet     " + fault + "\n"));
        const nlohmann::json json = parse_json(run({"inspect", file, "--json"}).out);
        EXPECT_TRUE(json["net"].is_null() && json["classes"].is_null());
        EXPECT_EQ(json["fault"], fault);
        const Ran ran = run({"convert", file, "out.safetensors", "--force"});
        EXPECT_EQ(ran.code, 0);
        EXPECT_THAT(ran.out, HasSubstr("of no known net"));
        EXPECT_THAT(ran.err, HasSubstr("notice: net " + fault));
        EXPECT_FALSE(
            parse_json(run({"inspect", "out.safetensors", "--json"}).out)["metadata"].contains("net"));
    }
    save_safetensors(root_ / "net.safetensors", golden_weights("option_a").items);
    EXPECT_TRUE(parse_json(run({"inspect", "net.safetensors", "--json"}).out)["fault"].is_null());
}

TEST_F(Weights, ConvertSaysWhatIsNoNumber) {
    EditableWeights weights = golden_weights("option_a");
    weights.at("linear.bias").values[0] = std::numeric_limits<float>::quiet_NaN();
    save_safetensors(root_ / "nan.safetensors", weights.items);
    const std::string notice =
        "notice: NaN or infinite values in linear.bias; score takes them under "
        "--allow-nonfinite only\n";
    EXPECT_EQ(run({"convert", "nan.safetensors", "out.safetensors", "--quiet"}).err, notice);
    EXPECT_EQ(run({"inspect", "nan.safetensors"}).err, notice);
    const std::vector<double> large{1e300, -1e39}, infinite{std::numeric_limits<double>::infinity(), 1};
    write_safetensors(
        root_ / "f64.safetensors",
        std::vector<NamedTensor>{{"large", StoredType::F64, {2}, std::as_bytes(std::span(large))},
                                 {"infinite", StoredType::F64, {2}, std::as_bytes(std::span(infinite))}});
    EXPECT_THAT(run({"convert", "f64.safetensors", "out.pth"}).err,
                AllOf(HasSubstr("NaN or infinite values in infinite, large;"),
                      HasSubstr("notice: numbers beyond float32 became infinite in large\n")));
}

class BadWeights : public Weights {
  protected:
    void refuse(const std::string& file, const std::vector<std::string>& parts) {
        std::vector<std::string> all{file};
        all.insert(all.end(), parts.begin(), parts.end());
        expect_refusal({"score", "--weights", file, "--id", "s=synthetic:2", "--out", "out"}, 3, all);
        EXPECT_FALSE(fs::exists(root_ / "out"));
    }
    void refuse(const EditableWeights& weights, const std::vector<std::string>& parts) {
        save_safetensors(root_ / "net.safetensors", weights.items);
        refuse("net.safetensors", parts);
    }
};

TEST_F(BadWeights, EmptyTruncatedAndOfNoFormat) {
    const Items items = golden_weights("option_a").items;
    save_safetensors(root_ / "w.safetensors", items);
    const std::vector<std::pair<std::string, std::string>> files{
        {"a.safetensors", content(root_ / "w.safetensors")},
        {"a.pth", torch_zip_of(items)},
        {"a.th", torch_legacy_of(items)},
        {"a.npz", npz_of(items)}};
    for (const auto& [name, bytes] : files) {
        for (const size_t left :
             {bytes.size() - 1, bytes.size() / 2, bytes.size() / 20, size_t{9}, size_t{1}}) {
            write(root_ / name, bytes.substr(0, left));
            refuse(name, {});
        }
        write(root_ / name, "");
        refuse(name, {"empty"});
        std::string wrong = bytes;
        wrong.replace(0, 12, "GIF89a______");
        write(root_ / name, wrong);
        refuse(name, {});
    }
    write(root_ / "html.pth", "<!DOCTYPE html><html><body>404: Not Found</body></html>");
    refuse("html.pth", {"web page"});
    write(root_ / "lfs.safetensors",
          "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 170000000\n");
    refuse("lfs.safetensors", {"git lfs pull"});
    fs::create_directories(root_ / "folder.pth");
    refuse("folder.pth", {"folder"});
    refuse("none.pth", {"No such file"});
    ::mkfifo((root_ / "pipe.pth").c_str(), 0600);
    refuse("pipe.pth", {"not a regular file"});
}

TEST_F(BadWeights, Case06_TensorsThatAreMissingLeftOverOrMisshapen) {
    EditableWeights weights = golden_weights("option_a");
    weights.erase("layer2.0.bn2.running_var");
    weights.erase("layer3.0.conv1.weight");
    refuse(weights, {"missing", "layer2.0.bn2.running_var", "layer3.0.conv1.weight"});
    weights = golden_weights("option_a");
    weights.add("layer1.0.conv3.weight", {4, 4});
    weights.add("ema.decay", {1});
    refuse(weights, {"layer1.0.conv3.weight", "ema.decay"});
    weights = golden_weights("option_a");
    auto& kernel = weights.at("layer1.0.conv2.weight");
    kernel.shape = {kernel.shape[0], kernel.shape[1], 9, 1};
    refuse(weights, {"layer1.0.conv2.weight is [", ", 9, 1], needed ["});
}

TEST_F(BadWeights, Case07_NanValues) {
    EditableWeights weights = golden_weights("option_a");
    weights.at("layer1.0.conv2.weight").values[3] = std::numeric_limits<float>::quiet_NaN();
    refuse(weights, {"NaN", "layer1.0.conv2.weight", "--allow-nonfinite"});
    const Ran ran = run({"score", "--weights", "net.safetensors", "--id", "s=synthetic:3", "--ood",
                         "t=synthetic:4", "--allow-nonfinite", "--out", "out", "--quiet"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("NaN for 3 of 3 images"));
    EXPECT_TRUE(results("out")["metrics"]["msp"]["t"]["auroc"].is_null());
    EXPECT_EQ(results("out")["metrics"]["msp"]["t"]["id_excluded"], 3);
}

TEST_F(BadWeights, Case01_ForeignGlobalsAreNamed) {
    using namespace testing_weights;
    using namespace std::string_literals;
    const std::string attack =
        "\x80\x02" + dict({{"conv1.weight", call("os", "system", {text("touch pwned")})}}) + ".";
    write(root_ / "zip.pth", zip({{"a/data.pkl", attack}}));
    refuse("zip.pth", {"os.system"});
    write(root_ / "legacy.th", legacy(attack.substr(2, attack.size() - 3), {}));
    refuse("legacy.th", {"os.system"});
    write(root_ / "plain.pkl", "cbuiltins\neval\n(S'1'\ntR.");
    refuse("plain.pkl", {"builtins.eval"});
    EXPECT_FALSE(fs::exists(root_ / "pwned"));
}

// A gigabyte of zeros, deflated to a megabyte, and an archive that lies about it.
TEST_F(BadWeights, Case04_ZipBombs) {
    using namespace testing_weights;
    const Ran made = run_command({"python3", "-c",
                                  "import zipfile\n"
                                  "z = zipfile.ZipFile('bomb.npz', 'w', zipfile.ZIP_DEFLATED)\n"
                                  "f = z.open('conv1.weight.npy', 'w', force_zip64=True)\n"
                                  "for i in range(257): f.write(bytes(1 << 22))\n"
                                  "f.close(); z.close()"},
                                 options_);
    if (made.code != 0) GTEST_SKIP() << "needs python3 to pack the bomb";
    refuse("bomb.npz", {"conv1.weight.npy"});
    write(root_ / "lie.npz", zip({{.name = "a.npy", .data = "tiny", .size_added = 3'000'000'000}}));
    refuse("lie.npz", {});
}

// Which of the two score would have read, nobody could say.
TEST_F(BadWeights, ConvertRefusesTwoTensorsOfOneName) {
    Items items = as_bit_npz(golden_weights("bit").items);
    items.push_back(*std::find_if(items.begin(), items.end(),
                                  [](const auto& item) { return item.name == "resnet/head/conv2d/bias"; }));
    items.back().name = "head/conv2d/bias";
    write(root_ / "bit.npz", npz_of(items));
    expect_refusal({"convert", "bit.npz", "out.safetensors"}, 3, {"bit.npz: two tensors are head.conv.bias"});
    EXPECT_FALSE(fs::exists(root_ / "out.safetensors"));
    EXPECT_THAT(run({"inspect", "bit.npz"}).out, HasSubstr("does not fit: two tensors are head.conv.bias"));
}

TEST_F(BadWeights, ConvertAndInspectRefuseThemToo) {
    write(root_ / "bad.pth", "nothing");
    expect_refusal({"inspect", "bad.pth"}, 3, {"bad.pth"});
    expect_refusal({"inspect", "bad.pth", "--json"}, 3, {"bad.pth"});
    expect_refusal({"convert", "bad.pth", "out.safetensors"}, 3, {"bad.pth"});
    EXPECT_FALSE(fs::exists(root_ / "out.safetensors"));
    expect_refusal({"convert", demo_weights(), "out.npz"}, 2, {"out.npz", ".safetensors or .pth or .pt"});
    ASSERT_EQ(run({"convert", demo_weights(), "out.safetensors", "--quiet"}).out, "");
    const std::string first = content(root_ / "out.safetensors");
    expect_refusal({"convert", demo_weights(), "out.safetensors"}, 2, {"out.safetensors", "--force"});
    EXPECT_EQ(run({"convert", "out.safetensors", "out.safetensors", "--force"}).code, 0) << "onto itself";
    EXPECT_NE(content(root_ / "out.safetensors"), "");
    expect_refusal({"convert", demo_weights(), "none/out.safetensors"}, 2,
                   {"none/out.safetensors: there is no folder none"});
}

}  // namespace
}  // namespace gs::test
