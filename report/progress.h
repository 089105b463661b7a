// The progress of one set on stderr: a line redrawn on a terminal, a plain line now and then elsewhere.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iosfwd>
#include <string>
#include <utility>

namespace gs {

struct ProgressStyle {
    bool quiet = false;     // nothing at all, notices aside
    bool terminal = false;  // redraw one line, at most ten times a second; otherwise a line every ten seconds
    bool colour = false;
    size_t width = 80;           // of the terminal, in columns
    std::string unit = "image";  // of what is counted
};

// What stderr is: a terminal or not, its width; colour unless NO_COLOR is set or TERM is "dumb".
ProgressStyle stderr_style(bool quiet);

// Counts of images, or of other things (ProgressStyle::unit). For one thread.
class Progress {
  public:
    using Clock = std::function<std::chrono::steady_clock::time_point()>;

    // `done` images (of an earlier run) count as done, but not for the rate.
    Progress(std::string label, int64_t total, const ProgressStyle& style, int64_t done = 0);
    Progress(std::string label, int64_t total, const ProgressStyle& style, int64_t done, std::ostream& out,
             Clock clock);
    ~Progress();  // ends a line that was left open: an exception's message begins on its own
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void update(int64_t done, int64_t skipped);
    void detail(std::string text) { detail_ = std::move(text); }  // stands behind the label from now on
    // A line of its own, above the progress; also when quiet. Names in it may hold anything, as in say().
    void notice(const std::string& line);
    void finish();  // the last line: images, time, rate, skipped

  private:
    struct Sample {
        std::chrono::steady_clock::time_point time;
        int64_t done;
    };
    double rate(std::chrono::steady_clock::time_point now) const;  // a second, of the last ten seconds or so
    std::string status(std::chrono::steady_clock::time_point now) const;
    void redraw(const std::string& text);
    void erase();

    std::string label_, detail_;
    int64_t total_, first_, done_, skipped_ = 0;
    ProgressStyle style_;
    std::ostream& out_;
    Clock clock_;
    std::chrono::steady_clock::time_point start_, shown_;
    std::deque<Sample> samples_;
    size_t drawn_ = 0;  // columns of the line that stands on the terminal
    bool finished_ = false;
};

}  // namespace gs
