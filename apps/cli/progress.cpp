#include "apps/cli/progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "apps/cli/output.h"
#include "ddpm/base/text.h"

namespace ddpm::cli {
namespace {

size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

}  // namespace

std::string clock_text(double seconds) {
  const int64_t all = std::llround(std::clamp(seconds, 0.0, 1e9));
  const int64_t hours = all / 3600, minutes = all / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, all % 60);
  return fmt::format("{}:{:02}", minutes, all % 60);
}

Progress::Progress(std::string unit)
    : unit_(std::move(unit)), terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { finish(); }

namespace {

std::string length_text(double seconds) {
  const auto minutes = std::llround(std::clamp(seconds, 0.0, 1e12) / 60);
  if (seconds < 90) return fmt::format("{} s", std::llround(seconds));
  if (minutes < 90) return fmt::format("{} min", minutes);
  if (minutes < 48 * 60) return fmt::format("{} h {} min", minutes / 60, minutes % 60);
  const int64_t hours = std::llround(static_cast<double>(minutes) / 60);
  return fmt::format("{} days {} h", hours / 24, hours % 24);
}

}  // namespace

std::string expected_end(double seconds, std::time_t now) {
  const std::string length = length_text(seconds);
  // A year that the calendar does not have would be no help.
  if (!(seconds < 1e10)) return "about " + length;
  const std::time_t end = now + static_cast<std::time_t>(seconds);
  std::tm today{}, then{};
  localtime_r(&now, &today);
  localtime_r(&end, &then);
  const char* form = "%H:%M";
  if (then.tm_year != today.tm_year)
    form = "%-d %b %Y %H:%M";
  else if (then.tm_yday != today.tm_yday)
    form = "%a %-d %b %H:%M";
  char text[64] = {};
  std::strftime(text, sizeof text, form, &then);
  return fmt::format("about {}, until {}", length, text);
}

void Progress::update(int64_t done, int64_t total, const std::string& detail,
                      std::optional<double> seconds_left) {
  seconds_left_ = seconds_left;
  done_ = done;
  total_ = total;
  share_ = std::nullopt;
  detail_ = detail;
  show(done >= total);
}

void Progress::update_by_clock(int64_t done, double share, double seconds_left,
                               const std::string& detail) {
  seconds_left_ = seconds_left;
  done_ = done;
  share_ = share;
  detail_ = detail;
  show(share >= 1);
}

// Draws the bar if it is the first or the last time, or if the last time is long ago.
void Progress::show(bool complete) {
  const bool first = shown_ == Clock::time_point{};
  const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10'000);
  const Clock::time_point now = Clock::now();
  if (!first && !complete && now - shown_ < pause) return;
  shown_ = now;
  draw();
}

double Progress::share() const {
  if (share_) return *share_;
  return total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 1.0;
}

void Progress::draw() {
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const int percent = static_cast<int>(std::floor(share() * 100));
  std::string text = fmt::format("{} {}", unit_, done_);
  if (!share_)
    text += fmt::format("/{}", total_);
  else if (!terminal_)
    text += fmt::format("  {}% done", percent);
  if (!detail_.empty()) text += "  " + printable(detail_);
  // The first moments tell little about the rest.
  constexpr double kSoonest = 1;
  if (share_ && share() < 1) {
    text += fmt::format("  {} left", clock_text(*seconds_left_));
  } else if (!share_ && done_ < total_ && done_ > first_ && (elapsed > kSoonest || seconds_left_)) {
    const double each = elapsed / static_cast<double>(done_ - first_);
    const double left = each * static_cast<double>(total_ - done_);
    text += fmt::format("  {} left", clock_text(seconds_left_.value_or(left)));
  }
  if (!terminal_) {
    say(text + "\n");
    return;
  }
  const size_t width = terminal_width();
  std::string line = fmt::format(" {:3}% {}", percent, text);
  // The bar uses the space that the text leaves, up to 30 columns.
  const size_t room = width > line.size() + 4 ? std::min<size_t>(width - line.size() - 4, 30) : 0;
  if (room >= 5) {
    const auto filled = static_cast<size_t>(share() * static_cast<double>(room));
    line = fmt::format("[{:-<{}}]{}", std::string(filled, '#'), room, line);
  }
  if (line.size() >= width) line.resize(width - 1);
  say_raw(fmt::format("\r{}\033[K", line));
  drawn_ = true;
}

void Progress::line(const std::string& text) {
  say_raw(fmt::format("{}{}\n", drawn_ ? "\r\033[K" : "", printable(text)));
  const bool redraw = drawn_;
  drawn_ = false;
  if (redraw) draw();
}

void Progress::finish() {
  if (drawn_) say_raw("\n");
  drawn_ = false;
}

}  // namespace ddpm::cli
