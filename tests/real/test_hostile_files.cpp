// Files made to hurt, beside the project: attacks on those who load weights, and JPEGs that no encoder
// writes.
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/gradscore.h"
#include "tests/support/shared_dir.h"

namespace gs::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::SizeIs;

class HostileFiles : public GradscoreTest {};

// Every one is refused with exit code 3 in one line, which names the foreign global where a pickle has one.
// None of the harmless ones holds a net either.
TEST_F(HostileFiles, Case01_EveryAttackIsRefusedByNameAndStartsNothing) {
    GS_SKIP_WITHOUT_SHARED();
    const std::map<std::string, std::string> reasons{
        {"malicious0.pkl", "__builtin__.globals"},
        {"malicious1.zip", "builtins.eval"},
        {"malicious2_v0.pkl", "posix.system"},
        {"malicious8.pkl", "subprocess.run"},
        {"malicious19.pkl", "functools.partial"},
        {"keyerror-exploit.pkl", "os.system"},
        {"type-confusion-exploit.pkl", "os.system"},
        {"cloudpickle_codeinjection.pkl", "cloudpickle.cloudpickle._make_function"},
        {"pytorch_magic_bypass.pt", "__builtin__.eval"},
        {"sys_module_override_sploit.pkl", "torch._utils"},
        {"GHSA-r8g5-cgf2-4m4m.pkl", "numpy.f2py.crackfortran.getlincoef"},
        {"GHSA-f4x7-rfwp-v3xw.pkl",
         "torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression"},
        {"dns_exfiltration.npy", "Python objects"},
        {"object_arrays.npz", "Python objects"},
        {"malicious1_0x1.zip", "encrypted"},
        {"malicious1_crc.zip", "CRC"},
        {"malicious1.7z", "7z"},
        {"bad_pytorch.pt", "PNG"},
        {"benign0_v3.pkl", "none of PyTorch's"},
        {"benign_password_protected.zip", "encrypted"},
        {"pytorch_model.bin", "no known net"},
        {"new_pytorch_model.bin", "single tensor"}};
    const RunOptions watched = *faults_library() == '\0' ? options_ : with_fault({{"FORBID", "1"}});
    size_t files = 0, named = 0;
    for (const auto& entry : fs::directory_iterator(*shared_dir() / "data/hostile")) {
        const std::string name = entry.path().filename().string();
        SCOPED_TRACE(name);
        ++files;
        const auto reason = reasons.find(name);
        // Under a name that promises weights; sockets and processes end the program with a code of their own.
        const std::string link = name + ".pth";
        fs::create_symlink(entry.path(), root_ / link);
        expect_refusal({"score", "--weights", link, "--id", "s=synthetic:1", "--out", "out"}, 3,
                       {name, reason == reasons.end() ? "" : reason->second}, watched);
        fs::remove(root_ / link);
        const Ran inspected = run({"inspect", entry.path().string()});
        EXPECT_THAT(inspected.code, AnyOf(0, 3));
        EXPECT_THAT(inspected.error_lines(),
                    SizeIs(inspected.code == 3 ? 1 : inspected.error_lines().size()));
        const bool attack = name.starts_with("GHSA-") && name.ends_with(".pkl");
        const bool by_name = inspected.err.find("refused: the pickle names ") != std::string::npos;
        EXPECT_TRUE(by_name || !attack) << inspected.err;
        named += by_name;
    }
    EXPECT_GT(files, 90u);
    EXPECT_GT(named, 70u);
    EXPECT_THAT(files_below(root_), SizeIs(0)) << "something was executed or written";
}

// A list of all of them: used exactly where Pillow uses them.
TEST_F(HostileFiles, OddJpegsAreUsedWherePillowUsesThem) {
    GS_SKIP_WITHOUT_SHARED();
    const fs::path folder = *shared_dir() / "data/jpeg-odd";
    std::istringstream manifest(content(folder / "MANIFEST.tsv"));
    std::map<std::string, bool> good;
    std::string list, line;
    std::getline(manifest, line);
    while (std::getline(manifest, line)) {
        const std::string name = line.substr(0, line.find('\t'));
        good[name] = line.ends_with("\tok");
        list += name + "\n";
    }
    ASSERT_GT(good.size(), 100u);
    write(root_ / "odd.txt", list);
    const auto usable = std::count_if(good.begin(), good.end(), [](const auto& item) { return item.second; });

    const Ran ran = score({"--id", "odd=list:odd.txt:root=" + folder.string(), "--out", "run"}, 6);
    const ScoreTable scores = table("run", "odd");
    ASSERT_EQ(scores.rows.size(), good.size());
    for (const ScoreRow& row : scores.rows)
        EXPECT_EQ(row.reason.empty(), good.at(row.path)) << row.path << ": " << row.reason;
    const nlohmann::json set = results("run")["sets"][0];
    EXPECT_EQ(set["scored"], usable);
    EXPECT_EQ(set["failures"].size(), good.size() - usable);
    for (const auto& failure : set["failures"]) {
        EXPECT_FALSE(good.at(failure["path"]));
        EXPECT_NE(failure["reason"], "");
    }
    EXPECT_THAT(ran.err, HasSubstr(std::to_string(good.size() - usable) + " images could not be used"));
    expect_refusal({"score", "--weights", demo_weights(), "--id", "odd=list:odd.txt:root=" + folder.string(),
                    "--strict", "--quiet", "--out", "strict"},
                   4, {"odd: ", "--strict"});
}

}  // namespace
}  // namespace gs::test
