#include "ddpm/comm/mpi/mpi_communicator.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>

#include "ddpm/comm/arguments.h"
#include "ddpm/comm/deadline.h"
#include "ddpm/comm/mpi/launcher.h"
#include "ddpm/comm/mpi/mpi_operation.h"

namespace ddpm {

MpiCommunicator::MpiCommunicator(MPI_Comm communicator, size_t largest,
                                 std::vector<std::string> hosts)
    : communicator_(communicator), largest_(largest), hosts_(std::move(hosts)) {
  check_mpi("MPI_Comm_set_errhandler", MPI_Comm_set_errhandler(communicator_, MPI_ERRORS_RETURN));
  check_mpi("MPI_Comm_rank", MPI_Comm_rank(communicator_, &rank_));
  check_mpi("MPI_Comm_size", MPI_Comm_size(communicator_, &size_));
}

MpiCommunicator::~MpiCommunicator() {
  if (communicator_ != MPI_COMM_WORLD) MPI_Comm_free(&communicator_);
}

void MpiCommunicator::in_pieces(size_t bytes, const std::function<void(size_t, int)>& start) const {
  for (size_t at = 0; at < bytes; at += largest_) {
    start(at, static_cast<int>(std::min(bytes - at, largest_)));
  }
}

PendingComm MpiCommunicator::broadcast(std::span<std::byte> bytes, int root) {
  check_rank("broadcast", root, size_);
  auto operation = std::make_unique<MpiOperation>("broadcast");
  in_pieces(bytes.size(), [&](size_t at, int count) {
    check_mpi("broadcast", MPI_Ibcast(bytes.data() + at, count, MPI_BYTE, root, communicator_,
                                      operation->add_request()));
  });
  return operation;
}

PendingComm MpiCommunicator::exchange(const char* call, const void* sent,
                                      const std::vector<Piece>& to, void* received,
                                      const std::vector<Piece>& from) {
  auto operation = std::make_unique<MpiOperation>(call);
  // With MPI_Alltoallw only the types say where the bytes are, so nothing overflows an int.
  const auto lists = [&](const std::vector<Piece>& pieces) {
    int* counts = operation->add_ints(size_);
    MPI_Datatype* types = operation->add_types(size_);
    std::fill_n(types, size_, MPI_BYTE);
    for (const Piece& piece : pieces) {
      if (piece.bytes == 0) continue;
      counts[piece.rank] = 1;
      types[piece.rank] = operation->add_type(piece.offset, piece.bytes, largest_);
    }
    return std::pair(counts, types);
  };
  const int* begins = operation->add_ints(size_);
  const auto [sent_counts, sent_types] = lists(to);
  const auto [received_counts, received_types] = lists(from);
  check_mpi(call, MPI_Ialltoallw(sent, sent_counts, begins, sent_types, received, received_counts,
                                 begins, received_types, communicator_, operation->add_request()));
  return operation;
}

namespace {

// The part of a rank that it gives to itself. Both may be the same bytes.
void copy_own(std::span<const std::byte> from, std::span<std::byte> to) {
  if (!from.empty()) std::memmove(to.data(), from.data(), from.size());
}

}  // namespace

PendingComm MpiCommunicator::all_gather(std::span<const std::byte> sent,
                                        std::span<std::byte> received,
                                        std::span<const size_t> sizes) {
  const std::vector<size_t> begins = offsets("all_gather", sizes, size_, received.size());
  const size_t own = static_cast<size_t>(rank_);
  check_bytes("all_gather", rank_, sent.size(), rank_, sizes[own]);
  copy_own(sent, received.subspan(begins[own], sizes[own]));
  auto operation = std::make_unique<MpiOperation>("all_gather");
  if (received.size() <= largest_) {
    int* counts = operation->add_ints(size_);
    int* places = operation->add_ints(size_);
    std::ranges::copy(sizes, counts);
    std::ranges::copy(begins, places);
    check_mpi("all_gather",
              MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, received.data(), counts, places,
                              MPI_BYTE, communicator_, operation->add_request()));
    return operation;
  }
  // More than a number of MPI can count.
  for (int r = 0; r < size_; ++r) {
    std::byte* part = received.data() + begins[static_cast<size_t>(r)];
    in_pieces(sizes[static_cast<size_t>(r)], [&](size_t at, int count) {
      check_mpi("all_gather",
                MPI_Ibcast(part + at, count, MPI_BYTE, r, communicator_, operation->add_request()));
    });
  }
  return operation;
}

PendingComm MpiCommunicator::all_to_all(std::span<const std::byte> sent,
                                        std::span<const size_t> sent_sizes,
                                        std::span<std::byte> received,
                                        std::span<const size_t> received_sizes) {
  const auto sent_begins = offsets("all_to_all", sent_sizes, size_, sent.size());
  const auto received_begins = offsets("all_to_all", received_sizes, size_, received.size());
  std::vector<Piece> to, from;
  for (int r = 0; r < size_; ++r) {
    const size_t at = static_cast<size_t>(r);
    if (r == rank_) continue;
    to.push_back({r, sent_begins[at], sent_sizes[at]});
    from.push_back({r, received_begins[at], received_sizes[at]});
  }
  const size_t own = static_cast<size_t>(rank_);
  check_bytes("all_to_all", rank_, sent_sizes[own], rank_, received_sizes[own]);
  copy_own(sent.subspan(sent_begins[own], sent_sizes[own]),
           received.subspan(received_begins[own], received_sizes[own]));
  return exchange("all_to_all", sent.data(), to, received.data(), from);
}

PendingComm MpiCommunicator::send(std::span<const std::byte> bytes, int to, int tag) {
  check_rank("send", to, size_);
  check_tag("send", tag);
  auto operation = std::make_unique<MpiOperation>("send");
  const auto start = [&](size_t at, int count) {
    check_mpi("send", MPI_Isend(bytes.data() + at, count, MPI_BYTE, to, tag, communicator_,
                                operation->add_request()));
  };
  // An empty message is a message as well.
  if (bytes.empty()) start(0, 0);
  in_pieces(bytes.size(), start);
  return operation;
}

PendingComm MpiCommunicator::receive(std::span<std::byte> bytes, int from, int tag) {
  check_rank("receive", from, size_);
  check_tag("receive", tag);
  auto operation = std::make_unique<MpiOperation>("receive");
  const auto start = [&](size_t at, int count) {
    check_mpi("receive", MPI_Irecv(bytes.data() + at, count, MPI_BYTE, from, tag, communicator_,
                                   operation->add_request()));
  };
  if (bytes.empty()) start(0, 0);
  in_pieces(bytes.size(), start);
  return operation;
}

std::unique_ptr<Communicator> MpiCommunicator::duplicate() {
  MPI_Comm copy = MPI_COMM_NULL;
  MpiOperation operation("duplicate");
  check_mpi("duplicate", MPI_Comm_idup(communicator_, &copy, operation.add_request()));
  operation.wait();
  auto communicator = std::make_unique<MpiCommunicator>(copy, largest_, hosts_);
  if (hosts_.empty()) {
    communicator->find_hosts();
    hosts_ = communicator->hosts_;
  }
  return communicator;
}

void MpiCommunicator::find_hosts() {
  constexpr size_t kLongest = MPI_MAX_PROCESSOR_NAME;
  const size_t ranks = static_cast<size_t>(size_);
  std::vector<char> names(kLongest * ranks);
  char* own = &names[kLongest * static_cast<size_t>(rank_)];
  int length = 0;
  check_mpi("MPI_Get_processor_name", MPI_Get_processor_name(own, &length));
  const std::vector<size_t> sizes(ranks, kLongest);
  all_gather(std::as_bytes(std::span(own, kLongest)), std::as_writable_bytes(std::span(names)),
             sizes)
      ->wait();
  for (size_t r = 0; r < ranks; ++r) {
    const char* name = &names[r * kLongest];
    hosts_.emplace_back(name, strnlen(name, kLongest - 1));
  }
}

void MpiCommunicator::abort(int status) {
  const Deadline last(std::chrono::seconds(5), [status] { _exit(status); });
  end_launcher_if_stuck();
  MPI_Abort(MPI_COMM_WORLD, status);
  _exit(status);
}

}  // namespace ddpm
