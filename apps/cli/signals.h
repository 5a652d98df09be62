// What signals do. This covers all that end a program by default, but for SIGKILL and those
// that report a fault in the program. One that was ignored when the program started (nohup, jobs in
// the background) stays ignored, and one that already has a handler keeps it.
#pragma once

#include <atomic>

namespace ddpm::cli {

// For every command, at the start: a signal ends the program with exit status 130 and takes the
// unfinished files with it. SIGQUIT still ends it by the signal. A write beyond the limit on the
// size of files (SIGXFSZ) only fails.
void end_on_signals() noexcept;

// For training, instead: a signal asks to stop, which the flag tells and a line on standard error
// says at once. A second SIGINT or SIGTERM
// ends the program at once, as does SIGQUIT.
const std::atomic<bool>& stop_on_signals() noexcept;

}  // namespace ddpm::cli
