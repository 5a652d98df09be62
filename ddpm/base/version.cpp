#include "ddpm/base/version.h"

namespace ddpm {

const char* version() { return DDPM_VERSION; }

}  // namespace ddpm
