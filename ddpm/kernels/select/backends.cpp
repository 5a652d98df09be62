// The one table that knows every backend.

#include "ddpm/base/error.h"
#include "ddpm/kernels/backend.h"
#include "ddpm/kernels/cpu/cpu_backend.h"
#include "ddpm/kernels/dry/dry_backend.h"
#include "ddpm/kernels/ref/ref_backend.h"

namespace ddpm {

Backend& backend_for(Device device) {
  static RefBackend ref;
  static CpuBackend cpu;
  switch (device) {
    case Device::kRef:
      return ref;
    case Device::kCpu:
      return cpu;
    case Device::kDry:
      return dry_backend();
  }
  fail("backend", "unknown device");
}

}  // namespace ddpm
