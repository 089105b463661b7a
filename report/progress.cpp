#include "report/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "core/printable.h"
#include "report/text.h"

namespace gs {
namespace {

using namespace std::chrono_literals;
constexpr auto kRedraw = 100ms, kPlainLine = 10000ms, kSample = 500ms, kWindow = 10000ms;

double seconds(std::chrono::steady_clock::duration time) {
    return std::chrono::duration<double>(time).count();
}

std::string rate_text(double rate, const std::string& unit) {
    return fixed(rate, rate < 100 ? 1 : 0) + ' ' + unit + "s/s";
}

}  // namespace

ProgressStyle stderr_style(bool quiet) {
    ProgressStyle style;
    style.quiet = quiet;
    const char *no_color = std::getenv("NO_COLOR"), *term = std::getenv("TERM");
    const bool dumb = term == nullptr || std::string_view(term) == "dumb";
    style.terminal = ::isatty(STDERR_FILENO) == 1 && !dumb;
    style.colour = style.terminal && (no_color == nullptr || *no_color == '\0');
    winsize size{};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) style.width = size.ws_col;
    return style;
}

Progress::Progress(std::string label, int64_t total, const ProgressStyle& style, int64_t done)
    : Progress(std::move(label), total, style, done, std::cerr, std::chrono::steady_clock::now) {}

Progress::Progress(std::string label, int64_t total, const ProgressStyle& style, int64_t done,
                   std::ostream& out, Clock clock)
    : label_(printable(label)),
      total_(total),
      first_(done),
      done_(done),
      style_(style),
      out_(out),
      clock_(std::move(clock)),
      start_(clock_()),
      shown_(start_),
      samples_{{start_, done}} {}

Progress::~Progress() {
    if (finished_ || drawn_ == 0) return;
    out_ << '\n';
    out_.flush();
}

// From the oldest sample of the window, so that a slow start is forgotten and a pause shows.
double Progress::rate(std::chrono::steady_clock::time_point now) const {
    const double time = seconds(now - samples_.front().time);
    return time > 0 ? double(done_ - samples_.front().done) / time : 0;
}

std::string Progress::status(std::chrono::steady_clock::time_point now) const {
    std::string text = label_ + (detail_.empty() ? "" : "  " + detail_) + "  " + grouped(done_);
    if (total_ > 0)
        text += "/" + grouped(total_) + "  " + std::to_string(int64_t(100 * double(done_) / double(total_))) +
                " %";
    const double per_second = rate(now);
    if (per_second > 0) {
        text += "  " + rate_text(per_second, style_.unit);
        if (total_ > done_) text += "  " + clock_time(double(total_ - done_) / per_second) + " left";
    }
    if (skipped_ > 0) text += "  " + grouped(skipped_) + " skipped";
    return text;
}

void Progress::update(int64_t done, int64_t skipped) {
    done_ = done;
    skipped_ = skipped;
    const auto now = clock_();
    if (now - samples_.back().time >= kSample) samples_.push_back({now, done});
    while (samples_.size() > 2 && now - samples_[1].time >= kWindow) samples_.pop_front();
    const bool due = now - shown_ >= (style_.terminal ? kRedraw : kPlainLine);
    if (style_.quiet || !due) return;
    shown_ = now;
    if (style_.terminal)
        redraw(status(now));
    else
        out_ << status(now) << std::endl;
}

// Spaces wipe what a longer line left behind; no escapes are needed. The last column stays free, as some
// terminals wrap there.
void Progress::redraw(const std::string& text) {
    const std::string line = elided(text, style_.width > 1 ? style_.width - 1 : 1, "..");
    const size_t width = display_width(line);
    const std::string shown = style_.colour ? "\x1b[36m" + line + "\x1b[0m" : line;
    out_ << '\r' << shown << std::string(drawn_ > width ? drawn_ - width : 0, ' ');
    out_.flush();
    drawn_ = width;
}

void Progress::erase() {
    if (drawn_ > 0) out_ << '\r' << std::string(drawn_, ' ') << '\r';
    drawn_ = 0;
}

void Progress::notice(const std::string& line) {
    erase();
    out_ << printable(line, 4 * line.size() + 1) << std::endl;
    if (style_.terminal && !style_.quiet && !finished_) redraw(status(clock_()));
}

void Progress::finish() {
    if (std::exchange(finished_, true)) return;
    erase();
    if (style_.quiet) return;
    const double time = seconds(clock_() - start_);
    const int64_t count = done_ - first_;
    out_ << label_ << "  " << counted(count, style_.unit) << " in " << clock_time(time);
    if (time > 0 && count > 0) out_ << ", " << rate_text(double(count) / time, style_.unit);
    if (skipped_ > 0) out_ << ", " << grouped(skipped_) << " skipped";
    out_ << std::endl;
}

}  // namespace gs
