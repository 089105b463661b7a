// Checkpoints made by hand, in the legacy format (one stream of pickles and storages): what torch.save never
// writes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/weights/checks.h"

namespace gs {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing_weights;

const std::string kSix = floats({0, 1, 2, 3, 4, 5});

std::string file_of(const std::string& value, const std::string& data = kSix) {
    return legacy(dict({{"w", value}}), {{"0", static_cast<int64_t>(data.size() / 4), data}});
}
std::string view(int64_t offset, const std::vector<int64_t>& size, const std::vector<int64_t>& stride) {
    return file_of(tensor(storage("FloatStorage", "0", 6), offset, size, stride));
}
std::vector<float> values_of(const std::string& text) {
    const WeightFile file = read_weights_from_memory(bytes_of(text), "a");
    return to_float32(file.tensors.at(0));
}

TEST(TorchTensors, StridedViews) {
    EXPECT_THAT(values_of(view(0, {2, 3}, {3, 1})), ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_THAT(values_of(view(0, {3, 2}, {1, 3})), ElementsAre(0, 3, 1, 4, 2, 5));
    EXPECT_THAT(values_of(view(1, {2, 2}, {3, 1})), ElementsAre(1, 2, 4, 5));
    EXPECT_THAT(values_of(view(5, {}, {})), ElementsAre(5));
    EXPECT_THAT(values_of(view(0, {0, 3}, {3, 1})), ElementsAre());
    EXPECT_THAT(values_of(view(5, {1, 1}, {1000, 1000})), ElementsAre(5));
    EXPECT_THAT(values_of(view(0, {2, 2}, {1, 1})), ElementsAre(0, 1, 1, 2));  // overlapping, inside
}

TEST(TorchTensors, ViewsBeyondTheirStorageAreRefused) {
    constexpr int64_t kHuge = INT64_MAX;
    EXPECT_THAT(error_of(view(1, {6}, {1})),
                HasSubstr("tensor 'w': reaches beyond its storage of 6 elements"));
    EXPECT_THAT(error_of(view(6, {}, {})), HasSubstr("reaches beyond"));
    EXPECT_THAT(error_of(view(0, {2, 3}, {4, 1})), HasSubstr("reaches beyond"));
    EXPECT_THAT(error_of(view(kHuge, {2}, {1})), HasSubstr("reaches beyond"));
    EXPECT_THAT(error_of(view(0, {2, 2}, {kHuge, kHuge})), HasSubstr("reaches beyond"));
    EXPECT_THAT(error_of(view(0, {3}, {kHuge})), HasSubstr("reaches beyond"));
    EXPECT_THAT(error_of(view(0, {kHuge, 3}, {0, 0})), HasSubstr("overflows 64 bits"));
    EXPECT_THAT(error_of(view(0, {1 << 20}, {0})), HasSubstr("repeats its storage"));
    EXPECT_THAT(error_of(view(5, {2}, {-1})), HasSubstr("stride is no number of at least 0"));
    EXPECT_THAT(error_of(view(-1, {1}, {1})), HasSubstr("offset is no number of at least 0"));
    EXPECT_THAT(error_of(view(0, {-1}, {1})), HasSubstr("size is no number of at least 0"));
    EXPECT_THAT(error_of(view(0, {2, 3}, {1})), HasSubstr("differ in length"));
    EXPECT_THAT(error_of(view(0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1))),
                HasSubstr("64 dimensions"));
}

TEST(TorchTensors, OldAndOddRecords) {
    const std::string id = storage("FloatStorage", "0", 6);
    const std::string place = id + integer(0) + integers({6}) + integers({1});
    const auto alone = [](const std::string& value) { return legacy(dict({{"w", value}}), {}); };
    const auto rebuilt = [&](const std::string& module, const std::string& name,
                             const std::string& arguments) {
        return file_of(global(module, name) + "(" + arguments + "tR");
    };
    const std::string inner = tensor(id, 0, {6}, {1});
    const std::string function = global("torch._utils", "_rebuild_tensor_v2"), flags = "\x89N";
    EXPECT_EQ(error_of(rebuilt("torch._utils", "_rebuild_tensor", place)), "no error");
    EXPECT_EQ(error_of(rebuilt("torch._utils", "_rebuild_tensor_v2", place + flags + "N")), "no error");
    EXPECT_EQ(error_of(rebuilt("torch._utils", "_rebuild_tensor_v2", place + flags + "}")), "no error");
    EXPECT_EQ(error_of(rebuilt("torch._utils", "_rebuild_parameter", inner + flags)), "no error");
    EXPECT_EQ(error_of(rebuilt("torch._tensor", "_rebuild_from_type_v2",
                               function + global("torch", "Tensor") + "(" + place + flags + "t" + "}")),
              "no error");
    EXPECT_EQ(
        error_of(file_of(call("torch._utils", "_rebuild_tensor",
                              {id, integer(0), call("torch", "Size", {integers({6})}), integers({1})}))),
        "no error");

    EXPECT_THAT(
        error_of(rebuilt("torch._utils", "_rebuild_tensor_v2", place + flags + dict({{"conj", "\x88"}}))),
        HasSubstr("lazy conjugate"));
    EXPECT_THAT(error_of(rebuilt("torch._utils", "_rebuild_tensor_v2", place)), HasSubstr("4 arguments for"));
    EXPECT_THAT(error_of(rebuilt("torch._utils", "_rebuild_tensor", id)), HasSubstr("1 arguments for"));
    EXPECT_THAT(error_of(alone(call("torch._utils", "_rebuild_parameter", {}))), HasSubstr("without data"));
    EXPECT_THAT(error_of(alone(call("torch._utils", "_rebuild_parameter", {"K\x01"}))),
                HasSubstr("is no tensor"));
    EXPECT_THAT(error_of(alone(call("torch._utils", "_rebuild_parameter", {call("torch", "Size", {})}))),
                HasSubstr("is made by torch.Size"));
    EXPECT_THAT(
        error_of(rebuilt("torch._tensor", "_rebuild_from_type_v2",
                         function + global("collections", "OrderedDict") + "(" + place + flags + "t" + "}")),
        HasSubstr("is of type collections.OrderedDict"));
    EXPECT_THAT(error_of(alone(call("torch._tensor", "_rebuild_from_type_v2", {"K\x01"}))),
                HasSubstr("malformed typed"));
    EXPECT_THAT(error_of(file_of(inner + "}b")), HasSubstr("carries more than a tensor's record"));
    EXPECT_THAT(error_of(alone(call("torch._utils", "_rebuild_tensor", {"K\x01", integer(0), ")", ")"}))),
                HasSubstr("storage is no reference"));
    std::string deep = inner;
    for (int i = 0; i < 6; ++i) deep = call("torch._utils", "_rebuild_parameter", {deep});
    EXPECT_THAT(error_of(file_of(deep)), HasSubstr("a parameter of a parameter"));
}

TEST(TorchTensors, UntypedStoragesTakeTheTensorsType) {
    const std::string id = tuple({text("storage"), global("torch.storage", "UntypedStorage"), text("0"),
                                  text("cpu"), integer(24)}) +
                           "Q";
    const auto file = [&](const std::string& storage_id, const std::string& dtype, int64_t size) {
        const std::string value =
            call("torch._utils", "_rebuild_tensor_v3",
                 {storage_id, integer(0), integers({size}), integers({1}), "\x89", "N", dtype});
        return legacy(dict({{"w", value}}), {{"0", storage_id == id ? 24 : 6, kSix}});
    };
    const std::string float32 = global("torch", "float32");
    EXPECT_THAT(values_of(file(id, float32, 6)), ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_THAT(error_of(file(id, float32, 7)), HasSubstr("reaches beyond its storage of 6"));
    // A view of bytes: its offset would count elements that are wider.
    const std::string view = tuple({text("storage"), global("torch.storage", "UntypedStorage"), text("0"),
                                    text("cpu"), integer(24), tuple({text("v"), integer(20), integer(4)})}) +
                             "Q";
    const std::string seen = call("torch._utils", "_rebuild_tensor_v3",
                                  {view, integer(0), integers({1}), integers({1}), "\x89", "N", float32});
    EXPECT_THAT(error_of(legacy(dict({{"w", seen}}), {{"0", 24, kSix}})),
                HasSubstr("over a part of untyped"));
    EXPECT_THAT(error_of(file(id, "K\x01", 6)), HasSubstr("malformed dtype"));
    EXPECT_THAT(error_of(file(id, global("torch", "uint16"), 6)), HasSubstr("type uint16 is not supported"));
    EXPECT_THAT(error_of(file(storage("FloatStorage", "0", 6), float32, 6)),
                HasSubstr("over a typed storage"));
    EXPECT_THAT(error_of(file_of(tensor(id, 0, {6}, {1}), kSix)),
                HasSubstr("file.pth: storage '0' holds 6 elements"));
}

TEST(TorchStorages, MalformedReferences) {
    const auto with_id = [](const std::string& id) { return file_of(tensor(id + "Q", 0, {6}, {1})); };
    const std::string type = global("torch", "FloatStorage"), key = text("0"), cpu = text("cpu");
    EXPECT_EQ(error_of(with_id(tuple({text("storage"), type, key, cpu, integer(6)}))), "no error");
    EXPECT_THAT(error_of(with_id("K\x01")), HasSubstr("of unknown kind"));
    EXPECT_THAT(error_of(with_id(tuple({text("module"), type}))), HasSubstr("of unknown kind"));
    EXPECT_THAT(error_of(with_id(tuple({text("storage")}))), HasSubstr("of 1 parts"));
    EXPECT_THAT(error_of(with_id(tuple({text("storage"), key, key, cpu, integer(6)}))),
                HasSubstr("without a storage t"));
    EXPECT_THAT(error_of(with_id(tuple({text("storage"), type, integer(0), cpu, integer(6)}))),
                HasSubstr("without a key"));
    EXPECT_THAT(error_of(with_id(tuple({text("storage"), type, key, cpu, integer(-1)}))),
                HasSubstr("without a size"));
    EXPECT_THAT(error_of(with_id(tuple({text("storage"), type, key, cpu, integer(INT64_MAX)}))),
                HasSubstr("63 bits"));
}

// Before 2018 a storage could itself be a part of another one.
TEST(TorchStorages, ViewsOfStorages) {
    const auto with_view = [](int64_t offset, int64_t elements, const std::vector<int64_t>& size) {
        const std::string part = tuple({text("1"), integer(offset), integer(elements)});
        return file_of(tensor(storage("FloatStorage", "0", 6, part), 0, size, {1}));
    };
    EXPECT_THAT(values_of(with_view(2, 3, {3})), ElementsAre(2, 3, 4));
    EXPECT_THAT(error_of(with_view(2, 3, {4})), HasSubstr("reaches beyond its storage of 3"));
    EXPECT_THAT(error_of(with_view(4, 3, {1})), HasSubstr("view beyond its storage"));
    EXPECT_THAT(error_of(with_view(-1, 3, {1})), HasSubstr("view beyond its storage"));
    EXPECT_THAT(error_of(with_view(INT64_MAX, INT64_MAX, {1})), HasSubstr("view beyond its storage"));
    EXPECT_THAT(error_of(file_of(tensor(storage("FloatStorage", "0", 6, ")"), 0, {6}, {1}))),
                HasSubstr("malformed view"));
}

TEST(TorchLegacy, Structure) {
    const std::string object = dict({{"w", tensor(storage("FloatStorage", "0", 6), 0, {6}, {1})}});
    EXPECT_EQ(error_of(legacy(object, {{"0", 6, kSix}})), "no error");
    EXPECT_EQ(error_of(legacy(object, {{"0", 6, kSix}}, "}")), "no error");
    EXPECT_THAT(error_of(legacy(object, {{"0", 6, kSix}}, dict({{"little_endian", "\x89"}}))),
                HasSubstr("big-endian"));
    EXPECT_THAT(error_of(legacy(object, {{"0", 5, kSix}})),
                HasSubstr("'0' holds 5 elements, 6 are expected"));
    EXPECT_THAT(error_of(legacy(object, {{"0", 6, "xx"}})),
                HasSubstr("'0' is cut short; the file is truncated"));
    EXPECT_THAT(error_of(legacy(object, {{"0", -6, kSix}})), HasSubstr("holds -6 elements"));
    EXPECT_THAT(error_of(legacy(object, {})), HasSubstr("storage '0' is missing"));
    EXPECT_THAT(error_of(legacy(object, {{"1", 6, kSix}})), HasSubstr("nothing refers to"));
    EXPECT_THAT(error_of(legacy(object, {{"0", 6, kSix}, {"0", 6, kSix}})), HasSubstr("appears twice"));
    const std::string two = dict({{"v", tensor(storage("FloatStorage", "0", 6), 0, {6}, {1})},
                                  {"w", tensor(storage("DoubleStorage", "0", 6), 0, {6}, {1})}});
    EXPECT_THAT(error_of(legacy(two, {{"0", 6, kSix}})), HasSubstr("two different sizes"));
    std::string version = legacy(object, {{"0", 6, kSix}});
    version.replace(version.find("M\xe9\x03"), 3, "M\xea\x03");
    EXPECT_THAT(error_of(version), HasSubstr("an unknown version"));
    EXPECT_THAT(error_of("\x80\x02K\x01."), HasSubstr("none of PyTorch's"));
    EXPECT_THAT(error_of("\x80\x02K\x01.\x80\x02"
                         "cos\nsystem\n."),
                HasSubstr("names os.system"));
}

TEST(TorchState, PythonTwoOrderedDict) {
    const std::string pair = "](" + text("w") + tensor(storage("FloatStorage", "0", 6), 0, {6}, {1}) + "e";
    const std::string object = call("collections", "OrderedDict", {"](" + pair + "e"});
    EXPECT_THAT(values_of(legacy(object, {{"0", 6, kSix}})), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(TorchState, ChoiceOfTheDict) {
    const std::string w = tensor(storage("FloatStorage", "0", 6), 0, {6}, {1});
    const auto names = [&](const std::string& object) {
        const std::string text = legacy(object, {{"0", 6, kSix}});
        std::vector<std::string> read;
        for (const StoredTensor& tensor : read_weights_from_memory(bytes_of(text), "a").tensors)
            read.push_back(tensor.name);
        return read;
    };
    // The larger one wins, wherever it is; an optimiser never does.
    EXPECT_THAT(names(dict({{"a", w}, {"model", dict({{"b", w}, {"c", w}})}})), ElementsAre("b", "c"));
    EXPECT_THAT(names(dict({{"a", w}, {"b", w}, {"ema", dict({{"c", w}})}})), ElementsAre("a", "b"));
    EXPECT_THAT(names(dict({{"optimizer", dict({{"x", w}, {"y", w}})}, {"net", dict({{"a", w}})}})),
                ElementsAre("a"));
    EXPECT_THAT(error_of(legacy(dict({{"optimizer", dict({{"x", w}})}}), {{"0", 6, kSix}})),
                HasSubstr("no dict of tensors found (its keys: optimizer)"));
    EXPECT_THAT(error_of(legacy("](" + w + "e", {{"0", 6, kSix}})), HasSubstr("holds no dict of tensors"));
    EXPECT_THAT(error_of(legacy("}", {})), HasSubstr("an empty dict"));
    EXPECT_THAT(error_of(legacy(dict({{"w", w}, {"w", w}}), {{"0", 6, kSix}})),
                HasSubstr("two tensors are named 'w'"));
    EXPECT_THAT(error_of(legacy(dict({{"w\xff", w}}), {{"0", 6, kSix}})), HasSubstr("not UTF-8"));
}

// torch.optim.swa_utils.AveragedModel adds its count of steps: that makes an average no larger than the net.
TEST(TorchState, SingleNumbersDoNotDecide) {
    const std::string id = storage("FloatStorage", "0", 6);
    const std::string w = tensor(id, 0, {6}, {1}), one = tensor(id, 0, {}, {});
    const std::string parameter = call("torch._utils", "_rebuild_parameter", {one, "\x89", "N"});
    const auto notice = [&](const std::string& object) {
        const std::string text = legacy(object, {{"0", 6, kSix}});
        const auto notices = read_weights_from_memory(bytes_of(text), "a").notices;
        return notices.empty() ? "" : notices[0];
    };
    const std::string net = dict({{"a", w}}),
                      larger = dict({{"a", w}, {"n_averaged", one}, {"p", parameter}});
    EXPECT_EQ(notice(dict({{"model_ema", larger}, {"model", net}})), "weights taken from 'model'");
    EXPECT_EQ(notice(dict({{"model_ema", dict({{"a", w}, {"b", w}})}, {"model", net}})),
              "weights taken from 'model_ema'");
    EXPECT_EQ(notice(dict({{"best", one}, {"model", net}})), "weights taken from 'model'");
    // Where nothing else is there they are taken.
    EXPECT_EQ(notice(dict({{"model", dict({{"a", one}})}})), "weights taken from 'model'");
}

// {'best_model': …}: a key that says nothing is enough where it is the only one.
TEST(TorchState, ASoleDictUnderAnyKey) {
    const std::string id = storage("FloatStorage", "0", 6);
    const std::string w = tensor(id, 0, {6}, {1}), one = tensor(id, 0, {}, {}), net = dict({{"a", w}});
    const auto file = [](const std::string& object) { return legacy(object, {{"0", 6, kSix}}); };
    const auto notices = [&](const std::string& object) {
        const std::string text = file(object);
        return read_weights_from_memory(bytes_of(text), "a").notices;
    };
    EXPECT_THAT(notices(dict({{"best_model", net}, {"epoch", integer(3)}})),
                ElementsAre("weights taken from 'best_model'", "left out (no weights): epoch"));
    EXPECT_THAT(
        notices(dict({{"acc", one}, {"best_model", net}, {"Optimizer_G", net}, {"lr_sched", net}})),
        ElementsAre("weights taken from 'best_model'", "left out (no weights): acc, Optimizer_G, lr_sched"));
    EXPECT_THAT(error_of(file(dict({{"best", net}, {"last", dict({{"b", w}})}, {"n", integer(1)}}))),
                HasSubstr("holds several dicts of tensors (best, last), and which is the net is not told"));
    // A known key is taken whatever else is there.
    EXPECT_THAT(notices(dict({{"best", dict({{"a", w}, {"b", w}})}, {"net", net}}))[0],
                "weights taken from 'net'");
}

// Records that nothing reads.
TEST(TorchState, PathsAndVersionsBesideTheWeights) {
    const std::string net = dict({{"w", tensor(storage("FloatStorage", "0", 6), 0, {6}, {1})}});
    for (const auto& [module, name] :
         std::vector<std::pair<std::string, std::string>>{{"pathlib", "PosixPath"},
                                                          {"pathlib", "PurePosixPath"},
                                                          {"pathlib._local", "PosixPath"},
                                                          {"pathlib._local", "PurePosixPath"},
                                                          {"torch.torch_version", "TorchVersion"}}) {
        const std::string odd = call(module, name, {text("/d")});
        EXPECT_EQ(error_of(legacy(dict({{"state_dict", net}, {"x", odd}}), {{"0", 6, kSix}})), "no error");
        EXPECT_THAT(error_of(legacy(dict({{"state_dict", odd}}), {})), HasSubstr("no dict of tensors"));
    }
    EXPECT_THAT(error_of(legacy(dict({{"x", call("pathlib", "Path.home", {})}}), {})),
                HasSubstr("names pathlib.Path.home"));
}

TEST(TorchState, QuantisedTensorsAreCalledSo) {
    EXPECT_THAT(error_of(legacy(dict({{"w", call("torch._utils", "_rebuild_qtensor", {})}}), {})),
                HasSubstr("holds quantised tensors; dequantise first"));
}

// Ten thousand names for one storage add up to more than the file could ever hold.
TEST(TorchState, LimitsBindSharedStorages) {
    std::vector<std::pair<std::string, std::string>> items;
    const std::string w = tensor(storage("FloatStorage", "0", 6), 0, {6}, {1});
    for (int i = 0; i < 100; ++i) items.emplace_back(std::to_string(i), w);
    const std::string text = legacy(dict(items), {{"0", 6, kSix}});
    ReadLimits limits;
    EXPECT_EQ(error_of(text, limits), "no error");
    limits.max_unpacked_bytes = 99 * 24;
    EXPECT_THAT(error_of(text, limits), HasSubstr("add up to more than the limit"));
    limits.max_unpacked_bytes = 100 * 24;
    limits.max_tensors = 99;
    EXPECT_THAT(error_of(text, limits), HasSubstr("100 tensors, more than the limit of 99"));
}

}  // namespace
}  // namespace gs
