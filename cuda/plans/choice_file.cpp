#include "cuda/plans/choice_file.h"

#include <cmath>
#include <cstdio>
#include <system_error>

#include "core/files.h"
#include "core/join.h"
#include "core/numbers.h"

namespace gs::cuda {

namespace {

constexpr std::string_view kFirstLine = "gradscore convolution plans 1";
constexpr size_t kFields = 5;
constexpr size_t kLargestFile = size_t{64} << 20;

bool parse_choice(std::string_view line, StoredChoice& choice) {
    std::vector<std::string> fields = split(line, '\t');
    if (fields.size() != kFields) return false;
    for (const std::string& field : fields)
        if (field.empty()) return false;
    const auto milliseconds = parse_number<double>(fields.back());
    if (!milliseconds || !std::isfinite(*milliseconds) || *milliseconds < 0) return false;
    choice.milliseconds = *milliseconds;
    choice.device = std::move(fields[0]);
    choice.version = std::move(fields[1]);
    choice.problem = std::move(fields[2]);
    choice.plan = std::move(fields[3]);
    return true;
}

// A field is one line without tabs, whatever a driver calls its device.
std::string as_field(std::string text) {
    for (char& c : text)
        if (c == '\t' || c == '\n' || c == '\r') c = ' ';
    return text.empty() ? "?" : text;
}

}  // namespace

ParsedChoices parse_choices(std::string_view text) {
    ParsedChoices parsed;
    if (text.empty()) return parsed;
    const size_t first_end = text.find('\n');
    if (text.substr(0, first_end) != kFirstLine) {
        parsed.is_ours = false;
        return parsed;
    }
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line == kFirstLine) continue;
        StoredChoice choice;
        if (parse_choice(line, choice))
            parsed.choices.push_back(std::move(choice));
        else
            ++parsed.damaged_lines;
    }
    return parsed;
}

std::string format_choices(const std::vector<StoredChoice>& choices) {
    std::string text = std::string(kFirstLine) + "\n";
    for (const StoredChoice& choice : choices) {
        char number[32];
        std::snprintf(number, sizeof number, "%.6g", choice.milliseconds);
        for (const std::string& field : {choice.device, choice.version, choice.problem, choice.plan})
            text += as_field(field) + "\t";
        text += std::string(number) + "\n";
    }
    return text;
}

ChoiceFile::ChoiceFile(std::filesystem::path path, std::string device, std::string version, Notice notice)
    : path_(std::move(path)),
      device_(as_field(std::move(device))),
      version_(as_field(std::move(version))),
      notice_(std::move(notice)),
      writable_(!path_.empty()) {
    const ParsedChoices parsed = read();
    if (parsed.damaged_lines > 0)
        notice_(path_.string() + ": " + std::to_string(parsed.damaged_lines) +
                " damaged lines are ignored; these plans are chosen anew");
}

std::string ChoiceFile::find(const ConvProblem& problem) const {
    const auto found = mine_.find(to_string(problem));
    return found == mine_.end() ? std::string() : found->second.plan;
}

void ChoiceFile::store(const ConvProblem& problem, const std::string& plan, double milliseconds) {
    const std::string name = to_string(problem);
    mine_[name] = {device_, version_, name, as_field(plan), milliseconds};
    if (writable_) write();
}

// Takes into mine_ what is not there yet.
ParsedChoices ChoiceFile::read() {
    std::error_code error;
    if (!writable_ || !std::filesystem::exists(path_, error)) return {};
    try {
        const std::vector<std::byte> bytes = read_file(path_, ErrorKind::Data, kLargestFile);
        ParsedChoices parsed = parse_choices({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
        if (!parsed.is_ours) {
            notice_(path_.string() +
                    ": not a file of convolution plans; it is left as it is, and plans are not kept");
            writable_ = false;
        }
        for (const StoredChoice& choice : parsed.choices)
            if (choice.device == device_ && choice.version == version_) mine_.emplace(choice.problem, choice);
        return parsed;
    } catch (const Error& failure) {
        notice_(std::string(failure.what()) + "; convolution plans are not kept");
        writable_ = false;
        return {};
    }
}

void ChoiceFile::write() {
    const ParsedChoices there = read();
    if (!writable_) return;
    std::vector<StoredChoice> all;
    for (const StoredChoice& choice : there.choices)
        if (choice.device != device_ || choice.version != version_) all.push_back(choice);
    for (const auto& [name, choice] : mine_) all.push_back(choice);
    try {
        write_file_atomically(path_, format_choices(all));
    } catch (const Error& failure) {
        notice_(std::string(failure.what()) + "; convolution plans are not kept");
        writable_ = false;
    }
}

}  // namespace gs::cuda
