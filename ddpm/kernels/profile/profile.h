// Times every operation of a backend. It takes the place of the backend and passes each call on, so
// models need not know.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ddpm/kernels/backend.h"

namespace ddpm {

struct ProfiledOperation {
  std::string operation;  // "conv2d", "group_norm backward", ...
  std::string shape;      // of what it works on: "3x3 64->128 on 8x32x32"
  std::string algorithm;  // where the backend has several, empty otherwise
  int64_t calls = 0;
  double seconds = 0;  // of all calls
  double flops = 0;    // of matrix products and convolutions, a multiply-add being two
};

// While one lives, this thread's operations on `device` are timed. One at a time on each thread.
class Profile {
 public:
  explicit Profile(Device device);
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  // The operations since the start or the last take(), in order of their first calls. Calls with
  // the same operation, shape and algorithm are summed.
  std::vector<ProfiledOperation> take();

 private:
  class Timer;
  Device device_;
  std::unique_ptr<Timer> timer_;
};

}  // namespace ddpm
