#include "ddpm/comm/thread_group.h"

#include <fmt/core.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>

#include "ddpm/base/error.h"
#include "ddpm/comm/arguments.h"
#include "ddpm/comm/thread_collective.h"

namespace ddpm {
namespace {

// What the ranks of an operation wait for.
struct State {
  bool done = false;
  // Why it failed. Empty if it did not.
  std::string error;
};

struct Collective {
  explicit Collective(int size) : parts(static_cast<size_t>(size)) {}
  std::vector<Part> parts;
  int arrived = 0;
  std::shared_ptr<State> state = std::make_shared<State>();
};

struct Message {
  std::span<const std::byte> sent;
  std::span<std::byte> received;
  std::shared_ptr<State> state = std::make_shared<State>();
};

// Sends without a receive, or receives without a send. One of the two is always empty.
struct Mailbox {
  std::deque<Message> sends, receives;
};

// What all ranks of a group share. Its lock guards everything.
class Group {
 public:
  explicit Group(int size) : size_(size), hosts_(static_cast<size_t>(size), "thread") {}

  int size() const { return size_; }
  const std::vector<std::string>& hosts() const { return hosts_; }

  // The part of `rank` in call `number` of a communicator.
  std::shared_ptr<State> arrive(const std::string& communicator, int64_t number, int rank,
                                Part part) {
    const std::scoped_lock lock(mutex_);
    check_going_on();
    const auto key = std::pair(communicator, number);
    Collective& collective = collectives_.try_emplace(key, size_).first->second;
    collective.parts[static_cast<size_t>(rank)] = std::move(part);
    const std::shared_ptr<State> state = collective.state;
    if (++collective.arrived == size_) {
      finish(*state, [&] { complete(collective.parts); });
      collectives_.erase(key);
    }
    return state;
  }

  std::shared_ptr<State> post(const std::string& communicator, int from, int to, int tag,
                              bool is_send, const Message& message) {
    const std::scoped_lock lock(mutex_);
    check_going_on();
    Mailbox& box = mailboxes_[{communicator, from, to, tag}];
    std::deque<Message>& others = is_send ? box.receives : box.sends;
    if (others.empty()) {
      (is_send ? box.sends : box.receives).push_back(message);
      return message.state;
    }
    const Message other = others.front();
    others.pop_front();
    const auto sent = is_send ? message.sent : other.sent;
    const auto received = is_send ? other.received : message.received;
    finish(*other.state, [&] {
      check_bytes("send", from, sent.size(), to, received.size());
      copy_bytes(sent, received);
    });
    return other.state;
  }

  bool test(const State& state) {
    const std::scoped_lock lock(mutex_);
    check(state);
    return state.done;
  }

  void wait(const State& state) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return state.done || !aborted_.empty(); });
    check(state);
  }

  void settle(const State& state) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return state.done || !aborted_.empty(); });
  }

  void abort(const std::string& why) {
    const std::scoped_lock lock(mutex_);
    if (aborted_.empty()) aborted_ = why;
    changed_.notify_all();
  }

 private:
  void check_going_on() const {
    if (!aborted_.empty()) throw Error(aborted_);
  }

  void check(const State& state) const {
    if (!state.done) return check_going_on();
    if (!state.error.empty()) throw Error(state.error);
  }

  template <typename Work>
  void finish(State& state, const Work& work) {
    try {
      work();
    } catch (const Error& error) {
      state.error = error.what();
    }
    state.done = true;
    changed_.notify_all();
  }

  const int size_;
  const std::vector<std::string> hosts_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string aborted_;
  std::map<std::pair<std::string, int64_t>, Collective> collectives_;
  std::map<std::tuple<std::string, int, int, int>, Mailbox> mailboxes_;
};

class ThreadOperation : public CommOperation {
 public:
  ThreadOperation(std::shared_ptr<Group> group, std::shared_ptr<State> state)
      : group_(std::move(group)), state_(std::move(state)) {}
  ~ThreadOperation() override {
    if (std::uncaught_exceptions() > 0 && !is_done())
      group_->abort("[ranks] a rank failed while an operation was going on");
    group_->settle(*state_);
  }
  bool test() override { return group_->test(*state_); }
  void wait() override { group_->wait(*state_); }

 private:
  bool is_done() const {
    try {
      return group_->test(*state_);
    } catch (const Error&) {
      return true;
    }
  }

  std::shared_ptr<Group> group_;
  std::shared_ptr<State> state_;
};

std::vector<size_t> as_vector(std::span<const size_t> sizes) {
  return {sizes.begin(), sizes.end()};
}

class ThreadCommunicator : public Communicator {
 public:
  // Its name is the same in all ranks and differs from those of the others in the group.
  ThreadCommunicator(std::shared_ptr<Group> group, int rank, std::string name)
      : group_(std::move(group)), rank_(rank), name_(std::move(name)) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }

  PendingComm broadcast(std::span<std::byte> bytes, int root) override {
    check_rank("broadcast", root, size());
    return arrive({.call = Call::kBroadcast, .root = root, .sent = bytes, .received = bytes});
  }

  PendingComm all_gather(std::span<const std::byte> sent, std::span<std::byte> received,
                         std::span<const size_t> sizes) override {
    offsets("all_gather", sizes, size(), received.size());
    return arrive({.call = Call::kAllGather,
                   .sent = sent,
                   .received = received,
                   .received_sizes = as_vector(sizes)});
  }

  PendingComm all_to_all(std::span<const std::byte> sent, std::span<const size_t> sent_sizes,
                         std::span<std::byte> received,
                         std::span<const size_t> received_sizes) override {
    offsets("all_to_all", sent_sizes, size(), sent.size());
    offsets("all_to_all", received_sizes, size(), received.size());
    return arrive({.call = Call::kAllToAll,
                   .sent = sent,
                   .received = received,
                   .sent_sizes = as_vector(sent_sizes),
                   .received_sizes = as_vector(received_sizes)});
  }

  PendingComm send(std::span<const std::byte> bytes, int to, int tag) override {
    check_rank("send", to, size());
    check_tag("send", tag);
    return pending(group_->post(name_, rank_, to, tag, true, {.sent = bytes}));
  }

  PendingComm receive(std::span<std::byte> bytes, int from, int tag) override {
    check_rank("receive", from, size());
    check_tag("receive", tag);
    return pending(group_->post(name_, from, rank_, tag, false, {.received = bytes}));
  }

  std::unique_ptr<Communicator> duplicate() override {
    const std::string name = fmt::format("{}/{}", name_, calls_);
    arrive({.call = Call::kDuplicate})->wait();
    return std::make_unique<ThreadCommunicator>(group_, rank_, name);
  }

  [[noreturn]] void abort(int status) override {
    group_->abort(fmt::format("[ranks] rank {} ended the job with status {}", rank_, status));
    fail("ranks", fmt::format("rank {} ended the job with status {}", rank_, status));
  }

  const std::vector<std::string>& hosts() const override { return group_->hosts(); }

 private:
  PendingComm arrive(Part part) {
    return pending(group_->arrive(name_, calls_++, rank_, std::move(part)));
  }
  PendingComm pending(std::shared_ptr<State> state) {
    return std::make_unique<ThreadOperation>(group_, std::move(state));
  }

  std::shared_ptr<Group> group_;
  const int rank_;
  const std::string name_;
  int64_t calls_ = 0;
};

}  // namespace

std::vector<std::unique_ptr<Communicator>> thread_group(int size) {
  if (size < 1) fail("ranks", fmt::format("a group of {} ranks; it needs at least 1", size));
  const auto group = std::make_shared<Group>(size);
  std::vector<std::unique_ptr<Communicator>> ranks;
  for (int r = 0; r < size; ++r) {
    ranks.push_back(std::make_unique<ThreadCommunicator>(group, r, "world"));
  }
  return ranks;
}

void run_thread_group(int size, const std::function<void(Communicator&)>& body) {
  auto ranks = thread_group(size);
  std::mutex mutex;
  std::exception_ptr first;
  std::vector<std::jthread> threads;
  for (auto& rank : ranks) {
    threads.emplace_back([&] {
      try {
        body(*rank);
      } catch (...) {
        {
          const std::scoped_lock lock(mutex);
          if (!first) first = std::current_exception();
        }
        try {
          rank->abort(1);
        } catch (const Error&) {
          // The other ranks are told.
        }
      }
    });
  }
  threads.clear();
  if (first) std::rethrow_exception(first);
}

}  // namespace ddpm
