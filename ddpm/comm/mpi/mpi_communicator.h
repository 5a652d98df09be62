// Ranks that MPI connects.
#pragma once

#include <mpi.h>

#include <functional>

#include "ddpm/comm/communicator.h"

namespace ddpm {

class MpiOperation;

class MpiCommunicator : public Communicator {
 public:
  // Frees `communicator` at the end unless it is MPI_COMM_WORLD. MPI moves at most `largest` bytes
  // in one call. `hosts` may be empty.
  MpiCommunicator(MPI_Comm communicator, size_t largest, std::vector<std::string> hosts);
  ~MpiCommunicator() override;
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  PendingComm broadcast(std::span<std::byte> bytes, int root) override;
  PendingComm all_gather(std::span<const std::byte> sent, std::span<std::byte> received,
                         std::span<const size_t> sizes) override;
  PendingComm all_to_all(std::span<const std::byte> sent, std::span<const size_t> sent_sizes,
                         std::span<std::byte> received,
                         std::span<const size_t> received_sizes) override;
  PendingComm send(std::span<const std::byte> bytes, int to, int tag) override;
  PendingComm receive(std::span<std::byte> bytes, int from, int tag) override;
  std::unique_ptr<Communicator> duplicate() override;
  [[noreturn]] void abort(int status) override;
  const std::vector<std::string>& hosts() const override { return hosts_; }

 private:
  // What one rank sends to another, or receives from it.
  struct Piece {
    int rank;
    size_t offset, bytes;
  };
  // Every rank sends and receives any pieces, at most one from and to each rank.
  PendingComm exchange(const char* call, const void* sent, const std::vector<Piece>& to,
                       void* received, const std::vector<Piece>& from);
  // Calls start(offset, bytes) for all pieces of `bytes` that one call of MPI may move.
  void in_pieces(size_t bytes, const std::function<void(size_t, int)>& start) const;
  void find_hosts();

  MPI_Comm communicator_;
  const size_t largest_;
  int rank_ = 0, size_ = 1;
  std::vector<std::string> hosts_;
};

}  // namespace ddpm
