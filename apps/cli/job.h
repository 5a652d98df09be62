// The job that this process belongs to, if an MPI launcher started it together with others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "apps/cli/marks.h"
#include "ddpm/comm/ranks.h"

namespace ddpm::cli {

// For the start of the program: if a launcher started it, signals come from the launcher.
void take_signals_of_job();

// Opens the job in the first call. Throws as Ranks does.
Ranks& job();

// For the end of the program. Both do nothing if the job was not opened or this process is alone.
void close_job();
// Ends all processes of the job with this status, after a line that tells of the error. Does not
// return then.
void fail_job(std::string_view error, int status);

// Tells `ddpm launch`, if it started this process.
void tell_launch(Mark::Kind kind, const std::string& text);

// What follows a message about an end without a save, such as "the last checkpoint is good: ...".
void set_save_note(const std::string& note);

// Sets the number of threads, 0 for the default: all cores, or the share of this process of the
// cores of its host.
void set_threads(int64_t threads);

}  // namespace ddpm::cli
