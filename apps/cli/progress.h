// Shows on standard error how much of a long task is done. On a terminal it is a bar that is drawn
// again and again, elsewhere plain lines (the first, the last, and one every ten seconds between).
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>

namespace ddpm::cli {

class Progress {
 public:
  // The unit is what is counted: "step", "picture".
  explicit Progress(std::string unit);
  // Ends the line of the bar.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of `total` are done. `detail` is shown after that, such as "loss 0.0312". Without
  // `seconds_left`, the rest is taken to be as fast as what is done.
  void update(int64_t done, int64_t total, const std::string& detail = {},
              std::optional<double> seconds_left = {});
  // The same for a task that ends by the clock: `share` of it is done, between 0 and 1.
  void update_by_clock(int64_t done, double share, double seconds_left, const std::string& detail);
  // Starts the clock now. `first` units were done before, by an earlier run.
  void start_from(int64_t first) {
    first_ = first;
    start_ = Clock::now();
  }
  // Prints a text as one line, made printable(), and draws the bar again below it.
  void line(const std::string& text);
  // Ends the bar, so that other output can follow.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void show(bool complete);
  void draw();
  double share() const;

  std::string unit_;
  bool terminal_;
  // The current line shows the bar.
  bool drawn_ = false;
  int64_t first_ = 0;
  int64_t done_ = 0;
  int64_t total_ = 0;
  // Of a task that ends by the clock, which has no total.
  std::optional<double> share_;
  std::string detail_;
  std::optional<double> seconds_left_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_{};
};

// "4:12" or "1:02:03".
std::string clock_text(double seconds);

// "about 2 h 10 min, until 17:40", or "about 3 days 4 h, until Sat 28 Nov 21:10". `now` is the time
// of this text.
std::string expected_end(double seconds, std::time_t now);

}  // namespace ddpm::cli
