// The faults that shim.cpp can cause, and the calls of a program at which it causes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/cli/program.h"

namespace ddpm::test {

// A line of the shim's log.
struct Call {
  int64_t number = 0;
  std::string name;
  std::string path;
};

struct Fault {
  int64_t at = 0;
  // As in DDPM_INJECT_HOW. Empty: no fault, calls are only counted.
  std::string how;
  // The call in a run without a fault.
  Call call;
};

// The faults that a call of this kind may have.
std::vector<std::string> hows_of(const std::string& call);

// Faults that must not change what a program does.
bool is_harmless(const Fault& fault);

// All faults at all calls.
std::vector<Fault> all_faults(const std::vector<Call>& calls);

// About `count` of them, spread over the kinds and over the run. Of equal calls in a row, such as
// the writes of one file, only the first, the middle and the last are taken.
std::vector<Fault> spread_faults(const std::vector<Call>& calls, size_t count);

// "#12 rename /tmp/run/config.json: EIO"
std::string to_text(const Fault& fault);

std::vector<Call> read_calls(const std::string& log);

// Runs the program with the shim. After a minute SIGALRM ends it.
Outcome run_with_fault(const std::vector<std::string>& arguments, const std::string& paths,
                       const std::string& log, const Fault& fault);

// Runs the program without the shim, with the same time limit.
Outcome run_within_a_minute(const std::vector<std::string>& arguments);

}  // namespace ddpm::test
