// Runs the real program as a user would and collects what it prints.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ddpm/engine/model.h"

namespace ddpm::test {

struct Outcome {
  // The exit status, or 128 + the signal that ended the program.
  int status = -1;
  std::string out, err;
  // The largest resident set of a Program.
  int64_t peak_bytes = 0;
};

// A running program. Both outputs go to files, so that nothing blocks.
class Program {
 public:
  struct Setting {
    // Runs in the child before the program starts.
    std::function<void()> prepare = {};
    // Standard output goes to this file instead, and not to Outcome::out.
    std::string output = {};
    // The words of a command that starts the program, such as mpirun. None: it is started directly.
    std::vector<std::string> launcher = {};
  };
  explicit Program(const std::vector<std::string>& arguments, const Setting& setting);
  explicit Program(const std::vector<std::string>& arguments) : Program(arguments, Setting{}) {}
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void signal(int number) const;
  // What it has printed on standard error so far.
  std::string said() const;
  Outcome wait();

 private:
  pid_t child_ = -1;
  int out_ = -1;
  int err_ = -1;
};

Outcome run_ddpm(const std::vector<std::string>& arguments);

// Expects the program to end with this status and an error message that holds these words.
void expect_refused(const std::vector<std::string>& arguments, int status, const std::string& says);

// What a program prints on a terminal of 100 columns, both outputs together.
Outcome ddpm_on_terminal(const std::vector<std::string>& arguments);

// Runs a program on a terminal that is closed as soon as `ready` returns true. Its output is lost.
// `prepare` runs in the child before the program starts.
Outcome on_closing_terminal(
    const std::vector<std::string>& arguments, const std::function<bool()>& ready,
    const std::function<void()>& prepare = [] {});

// The words of `ddpm train --recipe tutorial` for a small network, dims 8 and 16, on pictures of
// 8x8. `more` follows.
std::vector<std::string> small_training(const std::string& pictures, const std::string& run,
                                        const std::vector<std::string>& more = {});

// A folder of small coloured PNG files, picture i of side 9 + i % 3.
void make_pictures(const std::string& folder, int64_t count);

// Writes a network with random weights to a file: dims 8 and 16, images of 8x8.
void make_model(const std::string& path, int64_t channels = 3,
                const std::string& condition = "none");

// The members of a folder, sorted.
std::vector<std::string> names_in(const std::string& folder);

}  // namespace ddpm::test
