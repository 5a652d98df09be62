#include "ddpm/kernels/profile/profile.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "ddpm/kernels/operations/describe.h"

namespace ddpm {

class Profile::Timer : public Backend {
 public:
  explicit Timer(Backend& backend) : backend_(backend) {}

  const char* name() const override { return backend_.name(); }

#define DDPM_RUN(Operation) \
  void run(const op::Operation& o) override { time(o); }
  DDPM_FOR_EACH_OPERATION(DDPM_RUN)
#undef DDPM_RUN

  std::string algorithm(const op::Conv2d& o) const override { return backend_.algorithm(o); }
  std::string algorithm(const op::Conv2dBackwardData& o) const override {
    return backend_.algorithm(o);
  }
  std::string algorithm(const op::Conv2dBackwardWeights& o) const override {
    return backend_.algorithm(o);
  }
  int64_t prepared_bytes(const op::Conv2d& o) const override { return backend_.prepared_bytes(o); }
  int64_t images_at_once(const Shape& widest) const override {
    return backend_.images_at_once(widest);
  }
  bool projects_attention(const Shape& x) const override { return backend_.projects_attention(x); }

  std::vector<ProfiledOperation> take() { return std::exchange(operations_, {}); }

 private:
  template <class Operation>
  void time(const Operation& o) {
    using Clock = std::chrono::steady_clock;
    std::string algorithm;
    if constexpr (requires { backend_.algorithm(o); }) algorithm = backend_.algorithm(o);
    ProfiledOperation& sum = entry(op::label_of(o), op::shape_of(o), std::move(algorithm));
    const Clock::time_point start = Clock::now();
    backend_.run(o);
    sum.seconds += std::chrono::duration<double>(Clock::now() - start).count();
    sum.flops += op::flops_of(o);
    ++sum.calls;
  }

  ProfiledOperation& entry(std::string operation, std::string shape, std::string algorithm) {
    const auto known = std::find_if(operations_.begin(), operations_.end(), [&](const auto& other) {
      return other.operation == operation && other.shape == shape && other.algorithm == algorithm;
    });
    if (known != operations_.end()) return *known;
    operations_.push_back({std::move(operation), std::move(shape), std::move(algorithm)});
    return operations_.back();
  }

  Backend& backend_;
  std::vector<ProfiledOperation> operations_;
};

Profile::Profile(Device device)
    : device_(device), timer_(std::make_unique<Timer>(backend_for(device))) {
  stand_in_for_backend(device, timer_.get());
}

Profile::~Profile() { stand_in_for_backend(device_, nullptr); }

std::vector<ProfiledOperation> Profile::take() { return timer_->take(); }

}  // namespace ddpm
