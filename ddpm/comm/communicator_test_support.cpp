#include "ddpm/comm/communicator_test_support.h"

#include <fmt/core.h>

#include <algorithm>
#include <exception>
#include <thread>

#include "ddpm/base/error.h"

namespace ddpm::test {
namespace {

using Bytes = std::vector<std::byte>;

// Bytes that say who made them.
Bytes made_by(int rank, size_t bytes, int salt = 0) {
  Bytes made(bytes);
  for (size_t i = 0; i < bytes; ++i) {
    made[i] = static_cast<std::byte>(i * 31 + (i >> 8) * 7 + static_cast<size_t>(rank * 89 + salt));
  }
  return made;
}

void expect_same(const char* call, std::span<const std::byte> got, const Bytes& expected) {
  if (!std::ranges::equal(got, expected))
    fail("test", fmt::format("{} of {} bytes gave wrong bytes", call, expected.size()));
}

// The number of bytes of a rank: different for each, and none for one of them.
size_t part_of(int rank, size_t bytes) { return rank == 1 ? 0 : bytes + static_cast<size_t>(rank); }

std::vector<size_t> parts(int ranks, size_t bytes) {
  std::vector<size_t> sizes;
  for (int r = 0; r < ranks; ++r) sizes.push_back(part_of(r, bytes));
  return sizes;
}

Bytes all_parts(int ranks, size_t bytes) {
  Bytes all;
  for (int r = 0; r < ranks; ++r) {
    const Bytes part = made_by(r, part_of(r, bytes));
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

void check_broadcast(Communicator& communicator, size_t bytes, int root) {
  Bytes buffer = made_by(communicator.rank(), bytes);
  communicator.broadcast(buffer, root)->wait();
  expect_same("broadcast", buffer, made_by(root, bytes));
}

void check_all_gather(Communicator& communicator, size_t bytes) {
  const std::vector<size_t> sizes = parts(communicator.size(), bytes);
  const Bytes expected = all_parts(communicator.size(), bytes);
  const Bytes sent = made_by(communicator.rank(), part_of(communicator.rank(), bytes));
  Bytes received(expected.size());
  communicator.all_gather(sent, received, sizes)->wait();
  expect_same("all_gather", received, expected);
  // Its own part may be in its place already.
  size_t begin = 0;
  for (int r = 0; r < communicator.rank(); ++r) begin += sizes[static_cast<size_t>(r)];
  Bytes in_place(expected.size());
  std::ranges::copy(sent, in_place.begin() + static_cast<std::ptrdiff_t>(begin));
  communicator.all_gather(std::span(in_place).subspan(begin, sent.size()), in_place, sizes)->wait();
  expect_same("all_gather in place", in_place, expected);
}

// Rank a sends rank b `bytes` + a + 2 b bytes, or none if a + b is 3.
size_t between(int from, int to, size_t bytes) {
  return from + to == 3 ? 0 : bytes + static_cast<size_t>(from + 2 * to);
}

void check_all_to_all(Communicator& communicator, size_t bytes) {
  const int rank = communicator.rank();
  Bytes sent, expected;
  std::vector<size_t> sent_sizes, received_sizes;
  const auto append = [&](Bytes& all, std::vector<size_t>& sizes, int from, int to) {
    sizes.push_back(between(from, to, bytes));
    const Bytes part = made_by(from, sizes.back(), to);
    all.insert(all.end(), part.begin(), part.end());
  };
  for (int other = 0; other < communicator.size(); ++other) {
    append(sent, sent_sizes, rank, other);
    append(expected, received_sizes, other, rank);
  }
  Bytes received(expected.size());
  communicator.all_to_all(sent, sent_sizes, received, received_sizes)->wait();
  expect_same("all_to_all", received, expected);
}

// Two messages of each tag in a ring.
void check_messages(Communicator& communicator, size_t bytes) {
  const int ranks = communicator.size(), rank = communicator.rank();
  if (ranks == 1) return;
  const int next = (rank + 1) % ranks, previous = (rank + ranks - 1) % ranks;
  const Bytes first = made_by(rank, bytes, 1), second = made_by(rank, bytes / 2, 2);
  const Bytes other = made_by(rank, bytes + 1, 3);
  Bytes got_first(bytes), got_second(bytes / 2), got_other(bytes + 1);
  std::vector<PendingComm> pending;
  pending.push_back(communicator.receive(got_other, previous, 999));
  pending.push_back(communicator.receive(got_first, previous, 0));
  pending.push_back(communicator.receive(got_second, previous, 0));
  pending.push_back(communicator.send(first, next, 0));
  pending.push_back(communicator.send(other, next, 999));
  pending.push_back(communicator.send(second, next, 0));
  for (const PendingComm& operation : pending) operation->wait();
  expect_same("first message", got_first, made_by(previous, bytes, 1));
  expect_same("second message", got_second, made_by(previous, bytes / 2, 2));
  expect_same("message of another tag", got_other, made_by(previous, bytes + 1, 3));
}

}  // namespace

void check_operations(Communicator& communicator, size_t bytes) {
  for (int root = 0; root < communicator.size(); ++root) check_broadcast(communicator, bytes, root);
  check_all_gather(communicator, bytes);
  check_all_to_all(communicator, bytes);
  check_messages(communicator, bytes);
  if (communicator.hosts().size() != static_cast<size_t>(communicator.size()))
    fail("test", "not every rank has a host");
}

void check_overlap(Communicator& communicator) {
  constexpr int kOperations = 24;
  const int ranks = communicator.size();
  const auto root_of = [&](int i) { return i % ranks; };
  const std::vector<size_t> sizes = parts(ranks, 3000);
  const Bytes sent = made_by(communicator.rank(), part_of(communicator.rank(), 3000));
  const Bytes expected = all_parts(ranks, 3000);
  std::vector<Bytes> buffers, received;
  for (int i = 0; i < kOperations; ++i) {
    buffers.push_back(made_by(communicator.rank(), 5000, i));
    received.emplace_back(expected.size());
  }
  std::vector<PendingComm> pending;
  for (int i = 0; i < kOperations; ++i) {
    const size_t at = static_cast<size_t>(i);
    pending.push_back(communicator.all_gather(sent, received[at], sizes));
    pending.push_back(communicator.broadcast(buffers[at], root_of(i)));
  }
  while (!pending.front()->test()) std::this_thread::yield();
  for (; !pending.empty(); pending.pop_back()) pending.back()->wait();
  for (int i = 0; i < kOperations; ++i) {
    const size_t at = static_cast<size_t>(i);
    expect_same("overlapping broadcast", buffers[at], made_by(root_of(i), 5000, i));
    expect_same("overlapping all_gather", received[at], expected);
  }
}

void check_two_threads(Communicator& communicator) {
  const std::unique_ptr<Communicator> mine = communicator.duplicate();
  std::exception_ptr failure;
  std::thread other([&] {
    try {
      for (int i = 0; i < 20; ++i) check_operations(*mine, 1001);
    } catch (...) {
      failure = std::current_exception();
    }
  });
  for (int i = 0; i < 20; ++i) check_operations(communicator, 999);
  other.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace ddpm::test
