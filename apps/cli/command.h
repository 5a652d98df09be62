// A command is a row of the table in main.cpp and a function in its own file. The function declares
// the flags of the command and returns the action that runs after they were parsed. The table also
// gives the help.
#pragma once

#include <functional>
#include <string>

#include "apps/cli/flags.h"

namespace ddpm::cli {

// Returns the exit status. Throws ddpm::UsageError (status 2), ddpm::Interrupted (status 130)
// and ddpm::Error (status 1).
using Action = std::function<int()>;

struct Command {
  const char* name;
  // One line.
  const char* summary;
  // Lines for the end of the command's help.
  const char* examples;
  // The Flags object exists until the action has run.
  Action (*declare)(Flags& flags);
  // False if standard output gets only a message. Losing that is not an error.
  bool prints_result = true;
  // `ddpm launch` can run it on several ranks.
  bool uses_ranks = false;
};

// Throws UsageError if there is no such command.
const Command& find_command(const std::string& name);

Action train_command(Flags& flags);
Action sample_command(Flags& flags);
Action eval_command(Flags& flags);
Action forward_command(Flags& flags);
Action info_command(Flags& flags);
Action data_command(Flags& flags);
Action bench_command(Flags& flags);
Action tune_command(Flags& flags);
Action average_command(Flags& flags);
Action launch_command(Flags& flags);

// The status that shells report for a program that Ctrl-C ended.
inline constexpr int kInterrupted = 130;

}  // namespace ddpm::cli
