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

// False for rank 1, 2, ... of a job. Does not open it.
bool is_first_rank();
// For an error before the job was opened, which usually all ranks find. Gives rank 0 time to report
// it, so that its launcher ends this process, if it is another rank. If rank 0 has not failed, it
// returns.
void leave_error_to_rank_0();
// Throws UsageError if a launcher started several ranks, for a command that knows none.
void refuse_ranks(const char* command);

// Tells `ddpm launch`, if it started this process.
void tell_launch(Mark::Kind kind, const std::string& text);

// What follows a message about an end without a save, such as "the last checkpoint is good: ...".
void set_save_note(const std::string& note);

// Sets the number of threads, 0 for the default: all cores, or the share of this process of the
// cores of its host.
void set_threads(int64_t threads);

}  // namespace ddpm::cli
