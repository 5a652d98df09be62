#include "ddpm/comm/mpi/mpi_operation.h"

#include <fmt/core.h>
#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>

#include "ddpm/base/error.h"

namespace ddpm {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

// Lets others run between two tests of an operation that has been waited for that long. Large
// operations proceed only in tests, so pauses are short at first. Later they are longer, so that a
// rank that waits for long leaves its core to others.
void pause_after(Clock::duration waited) {
  if (waited < microseconds(100)) return;
  if (waited < milliseconds(1)) return std::this_thread::yield();
  thread_local const int precise = prctl(PR_SET_TIMERSLACK, 1000);  // The default is 50 us.
  static_cast<void>(precise);
  std::this_thread::sleep_for(
      std::clamp<Clock::duration>(waited / 1000, microseconds(20), microseconds(500)));
}

// When to give up on the operations that an exception has left, together. An exception that comes
// long after another one has a time of its own.
Clock::time_point end_of_waiting() {
  thread_local Clock::time_point end;
  const Clock::time_point now = Clock::now();
  if (now > end + std::chrono::seconds(2)) end = now + std::chrono::seconds(2);
  return end;
}

}  // namespace

void check_mpi(const char* call, int code) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail("ranks", fmt::format("{}: {}", call, text));
}

MpiOperation::~MpiOperation() {
  // After an exception the other ranks may never take part, and this rank must be able to say so.
  // The process ends soon then.
  const bool failed = std::uncaught_exceptions() > 0;
  const Clock::time_point give_up = failed ? end_of_waiting() : Clock::time_point::max();
  const auto start = Clock::now();
  int done = 0;
  while (done == 0) {
    const int count = static_cast<int>(requests_.size());
    if (MPI_Testall(count, requests_.data(), &done, MPI_STATUSES_IGNORE) != MPI_SUCCESS) break;
    const auto now = Clock::now();
    if (now > give_up) break;
    pause_after(now - start);
  }
  for (MPI_Datatype& type : made_types_) MPI_Type_free(&type);
}

bool MpiOperation::test() {
  int done = 0;
  const int count = static_cast<int>(requests_.size());
  check_mpi(call_, MPI_Testall(count, requests_.data(), &done, MPI_STATUSES_IGNORE));
  return done != 0;
}

void MpiOperation::wait() {
  const auto start = Clock::now();
  while (!test()) pause_after(Clock::now() - start);
}

MPI_Request* MpiOperation::add_request() { return &requests_.emplace_back(MPI_REQUEST_NULL); }

MPI_Datatype MpiOperation::add_type(size_t offset, size_t bytes, size_t largest) {
  std::vector<int> lengths;
  std::vector<MPI_Aint> begins;
  for (size_t at = 0; at < bytes; at += static_cast<size_t>(lengths.back())) {
    lengths.push_back(static_cast<int>(std::min(bytes - at, largest)));
    begins.push_back(static_cast<MPI_Aint>(offset + at));
  }
  MPI_Datatype type = MPI_DATATYPE_NULL;
  check_mpi(call_, MPI_Type_create_hindexed(static_cast<int>(lengths.size()), lengths.data(),
                                            begins.data(), MPI_BYTE, &type));
  made_types_.push_back(type);
  check_mpi(call_, MPI_Type_commit(&made_types_.back()));
  return made_types_.back();
}

int* MpiOperation::add_ints(int count) {
  return ints_.emplace_back(std::make_unique<int[]>(static_cast<size_t>(count))).get();
}

MPI_Datatype* MpiOperation::add_types(int count) {
  return types_.emplace_back(std::make_unique<MPI_Datatype[]>(static_cast<size_t>(count))).get();
}

}  // namespace ddpm
