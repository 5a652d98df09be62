// The ranks of a job: processes, usually on several machines, that compute together. A communicator
// moves bytes between them. communicator_single() is that of a process alone. ranks.h opens the one
// of a job that an MPI launcher started.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace ddpm {

// An operation that goes on while the program computes. Its buffers must live, and what it sends
// must not change, until it is done. Destroying it waits for it.
class CommOperation {
 public:
  virtual ~CommOperation() = default;
  // Whether it is done. Also lets it proceed.
  virtual bool test() = 0;
  // Throws Error if the job is ending because a rank is lost.
  virtual void wait() = 0;
};
using PendingComm = std::unique_ptr<CommOperation>;

// All ranks of a communicator make the same collective calls (all but send and receive) in the same
// order. One thread of each rank calls. Numbers of bytes may differ between ranks and may be 0. A
// byte range that a rank does not use may be empty. Throws Error where bytes do not fit.
class Communicator {
 public:
  virtual ~Communicator() = default;
  // 0 ... size() - 1
  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Gives the bytes of `root` to all ranks.
  virtual PendingComm broadcast(std::span<std::byte> bytes, int root) = 0;
  // All ranks receive the bytes of all ranks one after another, sizes[r] of rank r.
  virtual PendingComm all_gather(std::span<const std::byte> sent, std::span<std::byte> received,
                                 std::span<const size_t> sizes) = 0;
  // sent_sizes[r] bytes go to rank r, received_sizes[r] come from it.
  virtual PendingComm all_to_all(std::span<const std::byte> sent,
                                 std::span<const size_t> sent_sizes, std::span<std::byte> received,
                                 std::span<const size_t> received_sizes) = 0;
  // Between two ranks. What one rank sends another with one tag arrives in order. 0 <= tag < 1000.
  virtual PendingComm send(std::span<const std::byte> bytes, int to, int tag) = 0;
  virtual PendingComm receive(std::span<std::byte> bytes, int from, int tag) = 0;

  // The same ranks with calls of their own, for another thread. A collective call.
  virtual std::unique_ptr<Communicator> duplicate() = 0;
  // Ends all processes of the job with this status, soon. Does not return.
  [[noreturn]] virtual void abort(int status) = 0;
  // The host of each rank, for messages.
  virtual const std::vector<std::string>& hosts() const = 0;
};

// Of a process alone: one rank, and everything is done at once.
std::unique_ptr<Communicator> communicator_single();

}  // namespace ddpm
