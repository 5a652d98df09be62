// Watches over the ranks of a job, so that it ends when one of them is lost.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ddpm/comm/communicator.h"
#include "ddpm/comm/watch_message.h"

namespace ddpm {

struct WatchOptions {
  // A rank that nothing has come from for so long is lost: it was killed or stopped, or its link is
  // cut. Until it was heard of for the first time, it may take half as long again.
  std::chrono::milliseconds lost_after = std::chrono::seconds(15);
  // Receives the line that says why the job ends. The thread of the watch calls it.
  std::function<void(const std::string& line)> report;
  // Receives the ranks that this rank found lost, before that line. May be empty. The thread of the
  // watch calls it.
  std::function<void(const std::vector<int>& ranks)> lost;
};

// A thread in each rank. It exchanges short messages with some other ranks. If one of them is lost
// or tells of a failure, it reports that, tells its other neighbours and aborts the job. A rank
// that is slow, whatever it does, is not lost, because its watch answers.
class Watch {
 public:
  // Sends and receives with `communicator`, which must live longer. Meanwhile another thread may
  // make collective calls with it.
  Watch(Communicator& communicator, WatchOptions options);
  // Without leave(), the same as fail().
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // The hosts of the ranks, for messages.
  void set_hosts(std::vector<std::string> hosts);
  // What follows a line about a lost rank, such as "the last checkpoint is good".
  void set_loss_note(std::string note);

  // Ends the watch in all ranks without a loss. All must call it, and none may have more to do. It
  // waits for the others. Throws Error if the job ends for another reason.
  void leave();

  // Ends the job because this rank failed. This rank reports `text`, and the others report it with
  // the name of this rank. If several ranks fail for the same reason at about the same time, rank 0
  // reports it for them. Does not return (in a thread group it throws Error).
  [[noreturn]] void fail(std::string_view text, int status);

 private:
  using Clock = std::chrono::steady_clock;
  struct Neighbour {
    int rank;
    WatchMessage received, sent;
    PendingComm receiving, sending;
    // When something came from it, and when it was told something, in the time of time_.
    Clock::duration heard{}, told{};
    bool heard_of = false;
    // It has sent its last message, or it got the last one of this rank.
    bool has_left = false, told_last = false;
  };

  void run();
  bool step();
  void pause();
  void adopt_own_failure();
  void pass_time();
  void listen(Neighbour& neighbour);
  void take(Neighbour& neighbour);
  void send(Neighbour& neighbour, const WatchMessage& message);
  bool has_sent(Neighbour& neighbour);
  void tell(Neighbour& neighbour);
  void look_for_losses();
  bool all_left();
  void end_job();
  bool others_report_it();
  std::string name(int rank) const;
  std::string line();

  Communicator& communicator_;
  const WatchOptions options_;
  const Clock::duration interval_;

  // Of the thread alone, and of the others after its end.
  std::vector<Neighbour> neighbours_;
  // How long the thread has been running. Time in which the process was stopped does not count.
  Clock::duration time_{};
  Clock::time_point last_step_;
  // Why the job ends, and the failures that other ranks have told of.
  std::optional<WatchMessage> news_;
  std::vector<std::string> told_by_others_;

  // Guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  bool leaving_ = false;
  std::optional<std::string> failure_;
  int failure_status_ = 1;
  std::vector<std::string> hosts_;
  std::string loss_note_;

  std::thread thread_;
};

}  // namespace ddpm
