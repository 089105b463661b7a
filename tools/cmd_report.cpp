// gradscore report: runs as one page, and their charts as files.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/files.h"
#include "core/printable.h"
#include "report/html.h"
#include "report/results_json.h"
#include "report/text.h"
#include "tools/commands.h"
#include "tools/owned_folder.h"
#include "tools/run_folder.h"
#include "tools/setup.h"
#include "tools/thumbnails.h"

namespace gs {
namespace {

namespace fs = std::filesystem;

RunReport read_report(const std::string& folder, const ReportFlags& flags) {
    Results results = read_results_json(fs::path(folder) / "results.json");
    std::vector<ScoreTable> tables;
    for (const SetInfo& set : results.sets) tables.push_back(read_set_table(folder, set, results.methods));
    RunReport report = make_run_report(folder, std::move(results), tables,
                                       {.hardest = static_cast<size_t>(flags.thumbnails)});
    if (flags.no_thumbnails) {
        report.no_thumbnails.push_back("made without thumbnails (--no-thumbnails)");
    } else {
        add_thumbnails(report, flags.max_pixels);
    }
    return report;
}

fs::path figures_folder(const ReportFlags& flags) {
    if (!flags.figures.empty()) return flags.figures;
    fs::path out = flags.out;
    return out.replace_extension() += "-figures";
}

void check_out(const ReportFlags& flags) {
    check_new_file(flags.out, flags.force);
    for (const std::string& run : flags.runs) require_no_file_of_run(flags.out, run);
    if (!flags.force && !flags.no_figures)
        check_folder(figures_folder(flags), Earlier::Refuse, "--figures", kForceToReplace);
}

// Figures that take their places once the page is there, too: a full disk leaves what was there.
class StagedFigures {
  public:
    StagedFigures(const fs::path& folder, const std::vector<FigureFile>& figures)
        : folder_(folder), figures_(figures) {
        if (figures.empty()) return;
        std::error_code ignored;
        is_new_ = !fs::exists(folder, ignored);
        make_folder(folder);
        std::string name = (folder / "gradscore-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) fail("create a folder in it");
        staged_ = name;
        try {
            for (const FigureFile& figure : figures) write_file_atomically(staged_ / figure.name, figure.svg);
        } catch (const Error&) {
            clear();
            throw;
        }
    }
    ~StagedFigures() { clear(); }
    StagedFigures(const StagedFigures&) = delete;
    StagedFigures& operator=(const StagedFigures&) = delete;

    void commit() {
        for (const FigureFile& figure : figures_)
            if (std::rename((staged_ / figure.name).c_str(), (folder_ / figure.name).c_str()) != 0)
                fail("put " + figure.name + " there");
        is_new_ = false;
    }

  private:
    fs::path folder_, staged_;
    const std::vector<FigureFile>& figures_;
    bool is_new_ = false;

    [[noreturn]] void fail(const std::string& what) const {
        throw Error(ErrorKind::Internal, folder_.string() + ": cannot " + what + ": " + std::strerror(errno));
    }
    void clear() const noexcept {
        std::error_code ignored;
        if (!staged_.empty()) fs::remove_all(staged_, ignored);
        if (is_new_) fs::remove(folder_, ignored);  // it is empty
    }
};

}  // namespace

int run_report(const ReportFlags& flags) {
    for (const std::string& run : flags.runs) require_run_folder(run);
    check_out(flags);
    std::vector<RunReport> runs;
    for (const std::string& run : flags.runs) runs.push_back(read_report(run, flags));
    const PageLists lists = join_lists(runs);
    const std::string page = report_page(runs, lists, {version(), flags.command_line});
    const std::vector<FigureFile> figures =
        flags.no_figures ? std::vector<FigureFile>{} : report_figures(runs);
    StagedFigures staged(figures_folder(flags), figures);
    write_file_atomically(flags.out, page);
    staged.commit();

    size_t thumbnails = 0;
    for (const RunReport& run : runs) {
        thumbnails += run.thumbnails.size();
        for (const std::string& line : run.differences) say("warning: " + printable(run.name) + ": " + line);
        for (const std::string& line : run.no_thumbnails)
            if (!flags.no_thumbnails) say("notice: " + printable(run.name) + ": " + printable(line, 1000));
    }
    if (runs.size() > 1)
        for (const std::string& reason : why_not_comparable(runs))
            say("notice: not comparable: " + printable(reason, 1000));
    if (flags.json) {
        std::cout << nlohmann::ordered_json{{"page", flags.out},
                                            {"bytes", page.size()},
                                            {"runs", flags.runs},
                                            {"thumbnails", thumbnails},
                                            {"figures",
                                             figures.empty() ? "" : figures_folder(flags).string()},
                                            {"charts", figures.size()}}
                         .dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace)
                  << '\n';
        return 0;
    }
    std::cout << "Page: " << flags.out << " (" << grouped(static_cast<int64_t>((page.size() + 1023) / 1024))
              << " KiB, " << counted(static_cast<int64_t>(thumbnails), "thumbnail") << ")\n";
    if (!figures.empty())
        std::cout << "Charts: " << figures_folder(flags).string() << "/ ("
                  << counted(std::ssize(figures), "SVG file") << ")\n";
    return 0;
}

}  // namespace gs
