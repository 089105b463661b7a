// Weights made to hurt, at the command: exit code 3 in one line, at once, in little memory, and nothing else
// happens.
#include <zlib.h>

#include "tests/support/gradscore.h"
#include "tests/tools/net_files.h"

namespace gs::test {
namespace {

using testing::HasSubstr;
using testing::SizeIs;
using namespace std::string_literals;

class HostileWeights : public GradscoreTest {
  protected:
    HostileWeights() {
        // Sockets and processes end the program with another exit code than ours.
        if (*faults_library() != '\0')
            watched_ = with_fault({{"FORBID", "1"}});
        else
            watched_ = options_;
        alone_ = run({"--version"}, watched_).peak_mib;
    }
    RunOptions watched_;
    double alone_ = 0;  // MiB that the program takes for nothing

    void refuse(const std::string& name, const std::string& bytes, const std::vector<std::string>& parts) {
        SCOPED_TRACE(name);
        write(root_ / name, bytes);
        const Ran ran = run({"score", "--weights", name, "--id", "s=synthetic:1", "--out", "out"}, watched_);
        EXPECT_EQ(ran.code, 3) << ran.err;
        EXPECT_THAT(ran.error_lines(), SizeIs(1));
        for (const std::string& part : parts) EXPECT_THAT(ran.err, HasSubstr(part));
        // The program alone takes about 30 MiB, with CUDA's libraries 200; nothing that the file asks for is
        // added to that.
        EXPECT_LT(ran.peak_mib, alone_ + 90);
        EXPECT_LT(ran.seconds, 10) << "a second on a quiet machine";
        seconds_.push_back(ran.seconds);
        fs::remove(root_ / name);
        EXPECT_THAT(files_below(root_), SizeIs(0)) << "something was written";
    }
    // Machines are shared: one slow start proves nothing, a slow median does.
    void expect_quick() {
        std::sort(seconds_.begin(), seconds_.end());
        EXPECT_LT(seconds_.at(seconds_.size() / 2), 1);
    }
    static std::string pickled(const std::string& body) { return "\x80\x02" + body + "."; }
    static std::string in_zip(const std::string& pickle) {
        return testing_weights::zip({{"a/data.pkl", pickle}});
    }

    // 1088 MiB of zeros in an entry of a megabyte.
    static std::string bomb() {
        constexpr int kParts = 17;
        const std::string zeros(size_t{64} << 20, '\0');
        std::string packed(kParts * zeros.size() / 500, '\0');
        z_stream stream{};
        EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
        stream.next_out = reinterpret_cast<Bytef*>(packed.data());
        stream.avail_out = static_cast<uInt>(packed.size());
        for (int part = 1; part <= kParts; ++part) {
            stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(zeros.data()));
            stream.avail_in = static_cast<uInt>(zeros.size());
            EXPECT_EQ(deflate(&stream, part < kParts ? Z_NO_FLUSH : Z_FINISH),
                      part < kParts ? Z_OK : Z_STREAM_END);
        }
        packed.resize(stream.total_out);
        deflateEnd(&stream);
        const auto added = static_cast<int64_t>(kParts * zeros.size() - packed.size());
        return testing_weights::zip({{.name = "a.npy", .data = packed, .method = 8, .size_added = added}});
    }

  private:
    std::vector<double> seconds_;
};

TEST_F(HostileWeights, Case02_PicklesThatNameNestOrGrow) {
    using namespace testing_weights;
    const auto everywhere = [&](const std::string& pickle, const std::string& part) {
        refuse("zip.pth", in_zip(pickle), {part});
        refuse("bare.pkl", pickle, {part});
    };
    everywhere(pickled(call("evil", "run", {text("x")})), "evil.run");
    everywhere("\x80\x04" + text("evil") + text("run") + "\x93.", "evil.run");  // STACK_GLOBAL
    everywhere("(S'x'\nievil\nrun\n.", "evil.run");                             // INST
    everywhere(pickled(std::string(1'000'000, ']')), "");                       // a million empty lists
    std::string nested;
    for (int i = 0; i < 200'000; ++i) nested += "](";
    everywhere(pickled(nested + std::string(200'000, 'e')), "");
    // Each list holds the one before twice: two to the hundredth items, were it copied.
    std::string bomb = "]q\x00"s;
    for (int i = 1; i <= 100; ++i)
        bomb +=
            "](h"s + static_cast<char>(i - 1) + "h" + static_cast<char>(i - 1) + "eq" + static_cast<char>(i);
    everywhere(pickled(bomb), "");
    for (const std::string extension : {"\x82\x01", "\x83\x01\x02", "\x84\x01\x02\x03\x04"})
        everywhere(pickled(extension), "");
    everywhere(pickled("Pos.system\n"), "");                          // PERSID
    everywhere(pickled(text("os.system") + "Q"), "");                 // BINPERSID of no storage
    everywhere(pickled("r\xff\xff\xff\x7f"), "");                     // LONG_BINPUT far away
    everywhere("\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", "");  // BYTEARRAY8 of 2^63
    expect_quick();
}

TEST_F(HostileWeights, Case03_CutAtEveryFourKibibytes) {
    const Items items = golden_weights("option_a").items;
    for (const auto& [name, bytes] :
         {std::pair{"net.pth", torch_zip_of(items)}, std::pair{"net.th", torch_legacy_of(items)}}) {
        size_t cuts = 0;
        for (size_t size = 4096; size < bytes.size(); size += 4096, ++cuts)
            refuse(name, bytes.substr(0, size), {name});
        EXPECT_GT(cuts, 5u);
    }
}

TEST_F(HostileWeights, Case04_ZipsThatLie) {
    using namespace testing_weights;
    const std::string pickle = pickled("}");
    refuse("crc.pth", zip({{"a/data.pkl", pickle, "a/data.pkl", 1}}), {"CRC error"});
    refuse("directory.pth", zip({{"a/data.pkl", pickle, "a/data.pkx"}}), {"damaged zip archive"});

    refuse("sizes.npz", zip({{.name = "a.npy", .data = "tiny", .size_added = 3'000'000'000}}), {});
    // 1088 MiB of zeros, a megabyte packed: a thousand to one.
    refuse("bomb.npz", bomb(), {"zip bomb"});
}

TEST_F(HostileWeights, Case05_SafetensorsThatBreakARule) {
    using namespace testing_weights;
    const auto tensor = [](const std::string& name, const std::string& shape, int64_t begin, int64_t end) {
        return "\"" + name + R"(":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[)" +
               std::to_string(begin) + "," + std::to_string(end) + "]}";
    };
    const auto file = [](const std::string& entries) {
        return safetensors("{" + entries + "}", std::string(16, '\0'));
    };
    refuse("length.safetensors", raw<uint64_t>(1 << 20) + "{}", {"goes beyond the end"});
    refuse("length2.safetensors", raw<uint64_t>(100'000'001) + "{\"a\":{", {"100 MB"});
    refuse("overlap.safetensors", file(tensor("a", "[2]", 0, 8) + "," + tensor("b", "[3]", 4, 16)),
           {"overlaps"});
    refuse("hole.safetensors", file(tensor("a", "[1]", 0, 4) + "," + tensor("b", "[2]", 8, 16)), {"hole"});
    refuse("twice.safetensors", file(tensor("a", "[2]", 0, 8) + "," + tensor("a", "[2]", 8, 16)), {"twice"});
    refuse("overflow.safetensors", file(tensor("a", "[4611686018427387904,4]", 0, 16)), {"overflow"});
    std::string many;
    for (int i = 0; i < 100'001; ++i)
        many += (i > 0 ? "," : "") + ("\"" + std::to_string(i)) +
                R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
    refuse("many.safetensors", safetensors("{" + many + "}", ""), {"more than the limit of 100000 tensors"});
}

// PyTorch's first format was a tar; nothing here unpacks one. Names in archives that are read go nowhere.
TEST_F(HostileWeights, Case23_TarsAreRefusedAndNamesInArchivesWriteNothing) {
    using namespace testing_weights;
    for (const std::string member : {"../escape", "/tmp/gradscore-escape", "link"}) {
        std::string tar = member + std::string(257 - member.size(), '\0') + "ustar" + std::string(250, '\0');
        refuse("net.pth.tar", tar, {"a tar archive"});
    }
    refuse("net.tar.gz", "\x1f\x8b\x08\x00rest", {"a gzip archive", "unpack it first"});
    const std::string array = npy_of({"a", {1}, {0.f}});
    for (const std::string name : {"../escape", "/tmp/gradscore-escape", "a/../../escape", "..\\escape"}) {
        refuse("names.npz", zip({{name + ".npy", array}}), {});
        refuse("names.pth", zip({{name + "/data.pkl", pickled("}")}, {name + "/data/0", "1234"}}), {});
    }
    EXPECT_FALSE(fs::exists(root_.parent_path() / "escape.npy"));
    EXPECT_FALSE(fs::exists("/tmp/gradscore-escape"));
}

}  // namespace
}  // namespace gs::test
