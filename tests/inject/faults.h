// The faults that shim.cpp can make, and the calls of a program that they are made at.
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
  std::string how;  // as DDPM_INJECT_HOW; empty: none, calls are only counted
  Call call;        // as it was in a run without a fault
};

// What may happen to a call, by what it does.
std::vector<std::string> hows_of(const std::string& call);

// Faults that a program has to survive as if nothing had happened.
bool is_harmless(const Fault& fault);

// Every fault at every call.
std::vector<Fault> all_faults(const std::vector<Call>& calls);

// About `count` of them, spread over the kinds and over the run. Of equal calls in a row, such as
// the writes of one file, the first, the middle and the last stand for all.
std::vector<Fault> spread_faults(const std::vector<Call>& calls, size_t count);

// "#12 rename /tmp/run/config.json: EIO"
std::string to_text(const Fault& fault);

std::vector<Call> read_calls(const std::string& log);

// Runs the program with the shim. A program that has not ended after a minute ends by SIGALRM.
Outcome run_with_fault(const std::vector<std::string>& arguments, const std::string& paths,
                       const std::string& log, const Fault& fault);

// Without the shim, with the same limit of time.
Outcome run_within_a_minute(const std::vector<std::string>& arguments);

}  // namespace ddpm::test
