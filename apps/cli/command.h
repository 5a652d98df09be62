// A command is a row of the table in main.cpp and a function in a file of its own that declares its
// flags and returns what to run once they are parsed. The table also makes the help.
#pragma once

#include <functional>

#include "apps/cli/flags.h"

namespace ddpm::cli {

// Returns the exit status. Throws ddpm::UsageError (status 2) and ddpm::Error (status 1).
using Action = std::function<int()>;

struct Command {
  const char* name;
  const char* summary;   // one line
  const char* examples;  // lines for the end of its help
  // The Flags live until the action has run.
  Action (*declare)(Flags& flags);
  // False where standard output is only a message: losing it is no failure.
  bool prints_result = true;
};

Action train_command(Flags& flags);
Action sample_command(Flags& flags);
Action forward_command(Flags& flags);
Action info_command(Flags& flags);
Action data_command(Flags& flags);
Action bench_command(Flags& flags);

inline constexpr int kInterrupted = 130;  // as shells report a program ended by Ctrl-C

}  // namespace ddpm::cli
