// The machine that this program runs on.
#pragma once

#include <sys/types.h>

#include <string>

namespace ddpm::cli {

// Its name.
std::string own_host();

// The number of cores that a process may run on, where 0 is this process. 0 if that is unknown.
int cores_of(pid_t process);

}  // namespace ddpm::cli
