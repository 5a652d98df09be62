#include <unistd.h>

#include <cstring>

#include "ddpm/base/error.h"
#include "ddpm/comm/arguments.h"
#include "ddpm/comm/communicator.h"

namespace ddpm {
namespace {

class Done : public CommOperation {
 public:
  bool test() override { return true; }
  void wait() override {}
};

PendingComm done() { return std::make_unique<Done>(); }

// The buffers may be the same bytes.
void copy(std::span<const std::byte> from, std::span<std::byte> to) {
  if (!from.empty()) std::memmove(to.data(), from.data(), from.size());
}

class SingleCommunicator : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }

  PendingComm broadcast(std::span<std::byte>, int root) override {
    check_rank("broadcast", root, 1);
    return done();
  }

  PendingComm all_gather(std::span<const std::byte> sent, std::span<std::byte> received,
                         std::span<const size_t> sizes) override {
    return to_itself("all_gather", sent, received, sizes);
  }

  PendingComm all_to_all(std::span<const std::byte> sent, std::span<const size_t> sent_sizes,
                         std::span<std::byte> received,
                         std::span<const size_t> received_sizes) override {
    offsets("all_to_all", sent_sizes, 1, sent.size());
    return to_itself("all_to_all", sent, received, received_sizes);
  }

  PendingComm send(std::span<const std::byte>, int to, int) override { fail_message("send", to); }
  PendingComm receive(std::span<std::byte>, int from, int) override {
    fail_message("receive", from);
  }

  std::unique_ptr<Communicator> duplicate() override { return communicator_single(); }
  [[noreturn]] void abort(int status) override { _exit(status); }
  const std::vector<std::string>& hosts() const override { return hosts_; }

 private:
  static PendingComm to_itself(const char* call, std::span<const std::byte> sent,
                               std::span<std::byte> received, std::span<const size_t> sizes) {
    offsets(call, sizes, 1, received.size());
    check_bytes(call, 0, sent.size(), 0, received.size());
    copy(sent, received);
    return done();
  }

  [[noreturn]] static void fail_message(const char* call, int other) {
    check_rank(call, other, 1);
    fail("ranks", std::string(call) + ": rank 0 is alone; a message needs two ranks");
  }

  static std::vector<std::string> own_host() {
    char name[256] = "";
    gethostname(name, sizeof name - 1);
    return {name};
  }

  const std::vector<std::string> hosts_ = own_host();
};

}  // namespace

std::unique_ptr<Communicator> communicator_single() {
  return std::make_unique<SingleCommunicator>();
}

}  // namespace ddpm
