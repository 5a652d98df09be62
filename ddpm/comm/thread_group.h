// Ranks that are threads of one process, for tests of what is built on communicators.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ddpm/comm/communicator.h"

namespace ddpm {

// The communicators of `size` ranks, in their order. Each belongs to one thread. An operation is
// done when all its ranks have called it, and bytes are copied only then. So code that changes or
// frees a buffer too early, or that needs a send to end before its receive, fails here, too.
// abort() does not end the process: it throws Error, and so do all operations of all ranks from
// then on. Destroying an operation during an exception does the same.
std::vector<std::unique_ptr<Communicator>> thread_group(int size);

// Runs body(communicator) in a thread for each rank. If it throws in a rank, the others are
// aborted, and the first exception is thrown again at the end.
void run_thread_group(int size, const std::function<void(Communicator&)>& body);

}  // namespace ddpm
