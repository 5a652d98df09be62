// What signals do. This covers all signals that end a program by default, except SIGKILL and those
// that report a fault in the program. A signal that was ignored when the program started (nohup,
// background jobs) stays ignored. A signal that already has a handler keeps it.
#pragma once

#include <atomic>
#include <string_view>

namespace ddpm::cli {

// For every command, called at the start: a signal ends the program with exit status 130 and
// removes the unfinished files. SIGQUIT still ends the program by the signal. A write beyond the
// limit on the size of files (SIGXFSZ) only fails.
void end_on_signals() noexcept;

// For a training instead: a signal asks to stop. This sets the returned flag and prints a line on
// standard error at once. A second SIGINT or SIGTERM ends the program at once, and so does SIGQUIT.
const std::atomic<bool>& stop_on_signals() noexcept;

// For a rank that serves another one: signals that ask to stop change nothing, because it ends with
// that one. SIGQUIT still ends the program.
void leave_signals_to_others() noexcept;

// For a rank of a job: its launcher sends the signals. mpirun sends SIGTERM when the job ends for
// any reason, and SIGKILL about a second later. `ddpm launch` sends SIGUSR1 as a request to save
// and stop, and SIGUSR2 to stop at once. `line` is written to standard error at a SIGTERM. It must
// live on. It is empty unless `ddpm launch` started this process. `is_quiet`: signals print no
// messages, because those of another rank are enough.
void take_signals_of_launcher(std::string_view line, bool is_quiet) noexcept;

// What to say about earlier saves when the job may end without another one. Cut if it is too long.
void set_end_note(std::string_view text) noexcept;

// Says at once that `signal` lets a training save and stop.
void say_stopping(int signal) noexcept;

}  // namespace ddpm::cli
