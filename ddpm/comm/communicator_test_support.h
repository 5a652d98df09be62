// What every communicator must do. The functions throw Error where a result is wrong.
#pragma once

#include "ddpm/comm/communicator.h"

namespace ddpm::test {

// Every operation, between the ranks given, with parts of about `bytes` bytes.
void check_operations(Communicator& communicator, size_t bytes);

// Many operations at once, which are waited for in another order than they were started in.
void check_overlap(Communicator& communicator);

// Two threads of each rank at once, each with a communicator.
void check_two_threads(Communicator& communicator);

}  // namespace ddpm::test
