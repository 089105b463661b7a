// Kinds folder and list: images that are files, read when they are asked for.
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <system_error>

#include "core/ascii.h"
#include "core/join.h"
#include "core/numbers.h"
#include "data/sets.h"

namespace gs::detail {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFile = size_t{1} << 30;
constexpr int64_t kMostClasses = 1'000'000;

bool is_image_name(const fs::path& path) {
    const std::string extension = ascii_lower(path.extension().string());
    return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

// Walks a folder, links included; a link to one of the folders we are in would never end and is left out.
// Folders that link to each other have n! ways through n of them: one that is met too often is refused.
class Walk {
  public:
    std::vector<std::string> images;  // relative paths
    int64_t others = 0, loops = 0;

    explicit Walk(const fs::path& root) : root_(root) { enter(root, ""); }

  private:
    using Identity = std::pair<dev_t, ino_t>;
    static constexpr int64_t kMostVisits = 1000;

    fs::path root_;
    std::set<Identity> inside_;
    std::map<Identity, int64_t> visits_;

    void enter(const fs::path& folder, const std::string& prefix) {
        struct stat info {};
        std::error_code error;
        if (::stat(folder.c_str(), &info) != 0) error.assign(errno, std::generic_category());
        fs::directory_iterator entries;
        if (!error) entries = fs::directory_iterator(folder, error);
        if (error)
            throw Error(ErrorKind::Data, folder.string() + ": cannot read the folder: " + error.message());
        const Identity identity{info.st_dev, info.st_ino};
        if (!inside_.insert(identity).second) {
            ++loops;
            return;
        }
        if (++visits_[identity] > kMostVisits)
            throw Error(ErrorKind::Data, root_.string() + ": links lead to " + folder.string() +
                                             " in more than " + std::to_string(kMostVisits) +
                                             " ways; name the images in a list instead (list:FILE)");
        for (const fs::directory_entry& entry : entries)
            visit(entry, prefix + entry.path().filename().string());
        inside_.erase(identity);
    }

    void visit(const fs::directory_entry& entry, const std::string& relative) {
        std::error_code ignored;
        if (entry.is_directory(ignored)) return enter(entry.path(), relative + "/");
        // A link that leads nowhere is an image that cannot be read: it will be listed as such.
        const fs::file_status status = entry.status(ignored);
        if (is_image_name(entry.path()) && (fs::is_regular_file(status) || !fs::exists(status)))
            images.push_back(relative);
        else
            ++others;
    }
};

std::string counted(int64_t count, const std::string& one, const std::string& many) {
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

std::string_view trim(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n\v\f";
    const size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

struct Line {
    int64_t number = 0;
    std::string_view text, path;   // the whole line, and what stands before the last field
    std::optional<int64_t> label;  // the last field, where it is an integer after a path
};

Line parse_line(std::string_view text, int64_t number) {
    Line line{number, text, {}, {}};
    const size_t blank = text.find_last_of(" \t");
    if (blank == std::string_view::npos) return line;
    line.label = parse_number<int64_t>(text.substr(blank + 1));
    if (line.label) line.path = trim(text.substr(0, blank));
    return line;
}

// "398+521+9": classes of each group.
std::vector<int64_t> parse_groups(const std::string& text) {
    std::vector<int64_t> groups;
    for (const std::string& part : split(text, '+')) {
        const std::optional<int64_t> classes = parse_number<int64_t>(part);
        if (!classes || *classes < 1 || *classes > kMostClasses)
            throw Error(ErrorKind::Usage,
                        "groups=" + text + ": write the classes of each group, as 398+521+9");
        groups.push_back(*classes);
    }
    return groups;
}

// "path group class" to "path label", labels counted through the groups.
void join_groups(std::vector<Line>& lines, const std::vector<int64_t>& groups, const std::string& name) {
    for (Line& line : lines) {
        const Line outer = parse_line(line.path, line.number);
        const int64_t group = outer.label.value_or(-1), in_group = line.label.value_or(-1);
        const auto fail = [&](const std::string& what) {
            throw Error(ErrorKind::Data, name + ":" + std::to_string(line.number) + ": " + what);
        };
        if (!outer.label) fail("the line does not end in a group and a class (two integers)");
        if (group < 0 || group >= static_cast<int64_t>(groups.size()) || in_group < 0 ||
            in_group >= groups[static_cast<size_t>(group)])
            fail("there is no class " + std::to_string(in_group) + " of group " + std::to_string(group));
        line.path = outer.path;
        line.label = std::accumulate(groups.begin(), groups.begin() + group, in_group);
    }
}

std::vector<Line> parse_lines(std::string_view text, const std::string& name) {
    std::vector<Line> lines;
    text = without_bom(text);
    for (int64_t number = 1; !text.empty(); ++number) {
        const size_t length = std::min(text.find('\n'), text.size());
        const std::string_view line = trim(text.substr(0, length));
        text.remove_prefix(std::min(length + 1, text.size()));
        if (line.find('\0') != std::string_view::npos)
            throw Error(ErrorKind::Data,
                        name + ":" + std::to_string(number) + ": a zero byte; is this a list of images?");
        if (!line.empty() && line.front() != '#') lines.push_back(parse_line(line, number));
    }
    return lines;
}

}  // namespace

FileSet::FileSet(fs::path root, std::vector<Entry> entries, std::vector<std::string> notices,
                 std::vector<std::string> class_names)
    : root_(std::move(root)), entries_(std::move(entries)) {
    notices_ = std::move(notices);
    class_names_ = std::move(class_names);
}

ImageItem FileSet::item(int64_t index) const {
    const Entry& entry = entries_.at(static_cast<size_t>(index));
    return {entry.path, entry.label};
}

std::vector<std::byte> FileSet::bytes(int64_t index) const {
    return read_file(root_ / entries_.at(static_cast<size_t>(index)).path, ErrorKind::Data, kMaxFile);
}

Image FileSet::decode(int64_t index, std::span<const std::byte> bytes, const DecodeLimits& limits) const {
    try {
        return decode_image(bytes, limits);
    } catch (const Error& error) {
        throw Error(error.kind(), entries_.at(static_cast<size_t>(index)).path + ": " + error.what());
    }
}

std::unique_ptr<ImageSet> open_folder(const SetSource& source) {
    Walk walk(source.path);
    std::sort(walk.images.begin(), walk.images.end());
    std::map<std::string, int64_t> labels;  // of the top folders that hold images
    const auto top = [](const std::string& path) { return path.substr(0, path.find('/')); };
    for (const std::string& path : walk.images)
        if (path.find('/') != path.npos) labels.emplace(top(path), 0);
    std::vector<std::string> classes;
    for (auto& [name, label] : labels) {
        label = std::ssize(classes);
        classes.push_back(name);
    }

    std::vector<FileSet::Entry> entries;
    for (std::string& path : walk.images) {
        const auto found = path.find('/') == path.npos ? labels.end() : labels.find(top(path));
        entries.push_back({path, found == labels.end() ? std::nullopt : std::optional(found->second)});
    }
    std::vector<std::string> notices;
    if (walk.others > 0) notices.push_back(counted(walk.others, "file", "files") + " of other kinds ignored");
    if (walk.loops > 0)
        notices.push_back(counted(walk.loops, "link", "links") + " to an enclosing folder not followed");
    if (entries.empty())
        throw Error(ErrorKind::Data, source.path + ": no .jpg, .jpeg or .png files in this folder" +
                                         (notices.empty() ? "" : " (" + notices.front() + ")"));
    return std::make_unique<FileSet>(source.path, std::move(entries), std::move(notices), std::move(classes));
}

std::unique_ptr<ImageSet> open_list(const SetSource& source) {
    const std::vector<std::byte> content = read_file(source.path, ErrorKind::Data, kMaxFile);
    const std::string_view text(reinterpret_cast<const char*>(content.data()), content.size());
    std::vector<Line> lines = parse_lines(text, source.path);
    if (const std::string* groups = source.option("groups"))
        join_groups(lines, parse_groups(*groups), source.path);
    const auto labelled = [](const Line& line) { return line.label.has_value(); };
    const bool labels = std::any_of(lines.begin(), lines.end(), labelled);
    const auto bare = std::find_if_not(lines.begin(), lines.end(), labelled);
    if (labels && bare != lines.end())
        throw Error(ErrorKind::Data, source.path + ":" + std::to_string(bare->number) +
                                         ": the line does not end in a label (an integer), as others do");

    std::vector<FileSet::Entry> entries;
    for (const Line& line : lines) {
        const bool known = line.label.value_or(-1) >= 0;  // -1 is how some lists write "none"
        entries.push_back({std::string(labels ? line.path : line.text), known ? line.label : std::nullopt});
    }
    const std::string* root = source.option("root");
    return std::make_unique<FileSet>(root != nullptr ? fs::path(*root) : fs::path(source.path).parent_path(),
                                     std::move(entries), std::vector<std::string>{});
}

}  // namespace gs::detail

namespace gs {

std::unique_ptr<ImageSet> open_image_files(const std::vector<std::string>& paths) {
    std::vector<detail::FileSet::Entry> entries;
    for (const std::string& path : paths) entries.push_back({path, std::nullopt});
    return std::make_unique<detail::FileSet>("", std::move(entries), std::vector<std::string>{});
}

}  // namespace gs
