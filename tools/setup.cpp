#include "tools/setup.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <system_error>
#include <thread>

#include "core/files.h"
#include "core/join.h"
#include "core/numbers.h"
#include "core/printable.h"
#include "report/text.h"
#include "tools/score_run.h"
#include "tools/stored_preprocess.h"

namespace gs {
namespace {

volatile std::sig_atomic_t interrupt_seen = 0;

extern "C" void on_interrupt(int signal) {
    interrupt_seen = 1;
    std::signal(signal, SIG_DFL);
}

double parse_number(const std::string& text, const std::string& flag) {
    const auto value = gs::parse_number<double>(text);
    if (!value) throw Error(ErrorKind::Usage, flag + ": '" + text + "' is not a number");
    return *value;
}

int64_t parse_side(const std::string& text, const std::string& flag) {
    const double value = parse_number(text, flag);
    if (!(value >= 1 && value <= 65535) || value != static_cast<double>(static_cast<int64_t>(value)))
        throw Error(ErrorKind::Usage, flag + ": '" + text + "' is not a size in pixels");
    return static_cast<int64_t>(value);
}

std::array<float, 3> parse_triple(const std::string& text, const std::string& flag) {
    std::array<float, 3> values{};
    size_t begin = 0;
    for (size_t i = 0; i < 3; ++i) {
        const size_t end = text.find(',', begin);
        if ((end == std::string::npos) != (i == 2))
            throw Error(ErrorKind::Usage, flag + ": needs three numbers, a,b,c");
        values[i] = static_cast<float>(parse_number(text.substr(begin, end - begin), flag));
        begin = end + 1;
    }
    return values;
}

std::array<float, 3> parse_pixels(const std::string& text, const std::string& flag, bool may_be_zero) {
    const std::array<float, 3> values = parse_triple(text, flag);
    const std::string fault = fault_of_pixels(values, may_be_zero);
    if (!fault.empty()) throw Error(ErrorKind::Usage, flag + " " + text + ": " + fault);
    return values;
}

// "256" (one number), "480x480" (width x height) or "none".
std::optional<Size> parse_size(const std::string& text, const std::string& flag) {
    const size_t x = text.find('x');
    if (x == std::string::npos) return std::nullopt;
    return Size{parse_side(text.substr(0, x), flag), parse_side(text.substr(x + 1), flag)};
}

}  // namespace

LoadedNet load_net(Backend& backend, const NetFlags& flags) {
    const WeightFile weights = read_weights(flags.weights);
    BuildOptions options{.name = flags.net, .overrides = {}, .allow_nonfinite = flags.allow_nonfinite};
    if (!flags.arch.empty()) {
        const auto bytes = read_file(flags.arch, ErrorKind::Usage, size_t{1} << 20);
        if (bytes.empty())
            throw Error(ErrorKind::Usage, flags.arch + ": is empty; --arch takes a JSON object");
        options.overrides.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }
    LoadedNet loaded{.net = build_net(backend, weights, options),
                     .format = weights.format,
                     .notices = weights.notices,
                     .fallback = fallback_note(flags)};
    loaded.notices.insert(loaded.notices.end(), loaded.net.notices.begin(), loaded.net.notices.end());
    const Preprocess usual = loaded.net.preprocess;
    loaded.net.preprocess = stored_preprocess(weights, usual);
    if (const std::string other = flags_between(usual, loaded.net.preprocess); !other.empty())
        loaded.notices.push_back("the weights say what they were trained with: " + other);
    return loaded;
}

Preprocess resolve_preprocess(const Preprocess& fallback, const PreprocessFlags& flags) {
    Preprocess p = fallback;
    if (!flags.resize.empty()) {
        p.short_side.reset();
        p.resize.reset();
        if (const auto size = parse_size(flags.resize, "--resize")) {
            p.resize = size;
        } else if (flags.resize != "none") {
            p.short_side = parse_side(flags.resize, "--resize");
        }
    }
    if (!flags.crop.empty()) {
        p.crop.reset();
        if (const auto size = parse_size(flags.crop, "--crop")) {
            p.crop = size;
        } else if (flags.crop != "none") {
            const int64_t side = parse_side(flags.crop, "--crop");
            p.crop = Size{side, side};
        }
    }
    if (!flags.mean.empty()) p.mean = parse_pixels(flags.mean, "--mean", /*may_be_zero=*/true);
    if (!flags.std.empty()) p.std = parse_pixels(flags.std, "--std", /*may_be_zero=*/false);
    if (flags.pillow13) p.order = ResizeOrder::Pillow13;
    return p;
}

void introduce(const LoadedNet& loaded, const Preprocess& preprocess, const Backend& backend, bool quiet) {
    if (!quiet) {
        say(loaded.net.name + " (" + std::to_string(loaded.net.head.classes) + " classes) on " +
            backend.description() + (loaded.fallback.empty() ? "" : " (" + loaded.fallback + ")"));
        say("preprocessing: " + preprocess.describe());
    }
    for (const std::string& notice : loaded.notices) say("notice: " + notice);
}

void check_limit(const std::optional<int64_t>& limit) {
    if (limit && *limit < 1) throw Error(ErrorKind::Usage, "--limit: must be 1 or more");
}

void check_new_file(const std::string& path, bool force) {
    const auto refuse = [&](const std::string& why) { throw Error(ErrorKind::Usage, path + ": " + why); };
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) refuse("is a folder");
    if (std::filesystem::exists(path, error) && !force)
        refuse("exists; choose another name, or --force replaces it");
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    const std::string folder = parent.empty() ? "." : parent.string();
    if (!std::filesystem::is_directory(folder, error)) refuse("there is no folder " + folder);
    if (::access(folder.c_str(), W_OK | X_OK) != 0)
        throw Error(ErrorKind::Internal, path + ": " + std::generic_category().message(errno));
}

void check_output_file(const std::string& path, bool force, const std::vector<std::string>& endings) {
    const std::string ending = std::filesystem::path(path).extension().string();
    if (std::find(endings.begin(), endings.end(), ending) == endings.end())
        throw Error(ErrorKind::Usage, path + ": the output's name must end in " + join(endings, " or "));
    check_new_file(path, force);
}

void require_other_file(const std::string& out, const std::string& input, const std::string& what) {
    if (!input.empty() && is_within(out, input))
        throw Error(ErrorKind::Usage, "--out " + out + ": is " + what + " itself; choose another file");
}

void require_outside(const std::string& input, const std::string& folder, const std::string& what) {
    if (!input.empty() && is_within(input, folder))
        throw Error(ErrorKind::Usage,
                    what + " " + input + ": lies in --out, which --force moves aside; choose another --out");
}

int say_excluded(int64_t images, const std::string& listed) {
    if (images == 0) return 0;
    say(counted(images, "image") + " could not be used: " + listed);
    return kSomeExcluded;
}

int resolve_threads(int flag) {
    constexpr int kMost = 1024;
    if (flag < 0 || flag > kMost)
        throw Error(ErrorKind::Usage, "--threads: must be 0 (all cores) to " + std::to_string(kMost));
    if (flag > 0) return flag;
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

std::string version() {
    return GRADSCORE_VERSION;
}

std::string utc_now() {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return text;
}

std::string describe_process(const std::string& command) {
    char host[256] = "";
    ::gethostname(host, sizeof host - 1);
    return "gradscore " + command + " (process " + std::to_string(::getpid()) + " on " + host + ", since " +
           utc_now() + ")";
}

std::map<std::string, std::string> library_versions() {
    return {{"compiler", __VERSION__}};
}

void catch_interrupts() {
    std::signal(SIGINT, on_interrupt);
    std::signal(SIGTERM, on_interrupt);
}

bool interrupted() {
    return interrupt_seen != 0;
}

double peak_memory_mib() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1024;
}

double seconds_since(std::chrono::steady_clock::time_point then) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - then).count();
}

void say(const std::string& line) {
    std::cerr << printable(line, 4 * line.size() + 1) << '\n' << std::flush;
}

}  // namespace gs
