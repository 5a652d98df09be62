#include "ddpm/kernels/dry/dry_backend.h"

#include <type_traits>
#include <utility>

#include "ddpm/kernels/operations/describe.h"

namespace ddpm {
namespace {

thread_local double flops = 0;

class DryBackend : public Backend {
 public:
  explicit DryBackend(const Backend& model) : model_(model) {}

  const char* name() const override { return "dry"; }

#define DDPM_RUN(Operation) \
  void run(const op::Operation& o) override { count(o); }
  DDPM_FOR_EACH_OPERATION(DDPM_RUN)
#undef DDPM_RUN

  int64_t prepared_bytes(const op::Conv2d& o) const override { return model_.prepared_bytes(o); }
  int64_t images_at_once(const Shape& widest) const override {
    return model_.images_at_once(widest);
  }
  bool projects_attention(const Shape& x) const override { return model_.projects_attention(x); }

 private:
  template <class Operation>
  void count(const Operation& o) {
    flops += op::flops_of(o);
    if constexpr (std::is_same_v<Operation, op::Conv2d>) prepare(o);
  }

  // Takes the memory that the prepared weights would take.
  void prepare(const op::Conv2d& o) {
    if (!o.w.prepared || *o.w.prepared || o.y.device() != Device::kDry) return;
    const int64_t floats = model_.prepared_bytes(o) / size_of(DType::kFloat32);
    *o.w.prepared = std::make_shared<Tensor>(Shape{floats}, DType::kFloat32, Device::kDry);
  }

  const Backend& model_;
};

}  // namespace

double take_dry_flops() { return std::exchange(flops, 0.0); }

std::unique_ptr<Backend> make_dry_backend(const Backend& model) {
  return std::make_unique<DryBackend>(model);
}

}  // namespace ddpm
