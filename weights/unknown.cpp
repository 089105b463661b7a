// What a file that is no weights seems to be: most "broken checkpoints" are a download gone wrong.
#include <algorithm>

#include "core/ascii.h"
#include "core/npy.h"
#include "core/printable.h"
#include "weights/torch_state.h"

namespace gs::weights {
namespace {

constexpr std::string_view kSupported =
    "supported are .safetensors, .npz and PyTorch's .pth, .pt, .th, .pth.tar";

struct Magic {
    size_t at;
    std::string_view bytes, meaning;
};
using namespace std::string_view_literals;
constexpr Magic kMagics[] = {
    {0, "version https://git-lfs"sv, "a git-lfs pointer, not the file itself; fetch it with 'git lfs pull'"},
    {0, "\x1f\x8b"sv, "a gzip archive; unpack it first"},
    {0, "BZh"sv, "a bzip2 archive; unpack it first"},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "an xz archive; unpack it first"},
    {0, "7z\xbc\xaf\x27\x1c"sv, "a 7z archive; unpack it first"},
    {0, "\x28\xb5\x2f\xfd"sv, "a zstd archive; unpack it first"},
    {0, "Rar!"sv, "a RAR archive; unpack it first"},
    {257, "ustar"sv, "a tar archive; unpack it first"},
    {0, "\x89HDF\r\n"sv, "an HDF5 file (Keras, MATLAB)"},
    {0, "MATLAB 5.0"sv, "a MATLAB file"},
    {0, "GGUF"sv, "a GGUF file"},
    {0, "\x89PNG"sv, "a PNG image"},
    {0, "\xff\xd8\xff"sv, "a JPEG image"},
    {0, "%PDF"sv, "a PDF document"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program (ELF)"},
};

bool looks_like_html(std::string_view text) {
    const std::string start = ascii_lower(std::string(text.substr(0, 64)));
    const size_t at = std::min(start.find_first_not_of(" \t\r\n"), start.size());
    const auto begins = [&](std::string_view tag) {
        return std::string_view(start).substr(at).starts_with(tag);
    };
    return begins("<!doctype") || begins("<html") || begins("<?xml") || begins("<head");
}

// "pytorch_model.bin.index.json": which of a large net's files holds which tensor.
bool looks_like_shard_index(std::string_view text) {
    constexpr size_t kLooked = size_t{1} << 20;
    const size_t start = text.find_first_not_of(" \t\r\n");
    return start != text.npos && text[start] == '{' &&
           text.substr(0, kLooked).find("\"weight_map\"") != text.npos;
}

// Pickles of protocol 0 have no mark of their own. Only one that parses, or names a plausible global, counts.
void refuse_text_pickle(const Input& input) {
    std::string named;
    const auto allow = [&](std::string_view name) {
        const bool plausible = std::all_of(name.begin(), name.end(), [](char c) {
            return is_ascii_alphanumeric(c) || c == '_' || c == '.';
        });
        if (plausible) named = name;
        return false;
    };
    try {
        pickle::parse(input.bytes, allow, input.what, ErrorKind::Weights);
    } catch (const Error&) {
        if (named.empty()) return;
    }
    // Once more with PyTorch's list, which refuses foreign names with its own words.
    if (!named.empty()) parse_torch_pickle(input, input.bytes, input.what);
    input.fail(
        "a Python pickle, but none of PyTorch's; save model.state_dict() with torch.save, or safetensors");
}

}  // namespace

void refuse_unknown(const Input& input) {
    const std::string_view text = input.text();
    const std::string supported(kSupported);
    if (text.empty()) input.fail("is empty; " + supported);
    for (const Magic& magic : kMagics)
        if (text.size() > magic.at && text.substr(magic.at).starts_with(magic.bytes))
            input.fail("seems to be " + std::string(magic.meaning) + "; " + supported);
    if (looks_like_html(text)) input.fail("seems to be a web page (a download gone wrong?); " + supported);
    if (looks_like_shard_index(text))
        input.fail("the index of weights in several files (shards), without a tensor; save them as one file");
    if (text.starts_with("\x93NUMPY")) {
        npy::parse(input.bytes, input.what, ErrorKind::Weights);
        input.fail("a single array (.npy) without a name; save named arrays as .npz; " + supported);
    }
    refuse_text_pickle(input);
    input.fail("unknown content, beginning with '" + printable(text.substr(0, 16)) + "'; " + supported);
}

}  // namespace gs::weights
