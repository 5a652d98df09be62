#pragma once

namespace ddpm {

// The version of the library that is linked, such as "0.1.0".
const char* version();

}  // namespace ddpm
