// Which instruction set the kernels run on. Every kernel file is compiled once for each target
// (Highway's foreach_target), and a small table holds the versions of a function. Which of them
// runs is a variable of ours: Highway's own dispatcher is in a shared library, which the engine
// must not need.
#pragma once

#include <vector>

namespace ddpm {

// kBaseline is what the compiler was told every machine has: plain scalar code on x86, NEON on ARM.
enum class Simd { kBaseline, kAvx2, kAvx512 };

// What kernels use: the best that this CPU has, or what the environment variable DDPM_SIMD
// (scalar | avx2 | avx512) or set_simd() asked for. Throws UsageError where DDPM_SIMD names
// something unknown or something this CPU lacks.
Simd simd();
// Throws UsageError where this CPU lacks the target. Not to be called while kernels run.
void set_simd(Simd target);
// All that this CPU can run, slowest first.
std::vector<Simd> supported_simd();

// "scalar" ("neon" on ARM), "avx2", "avx512".
const char* simd_name(Simd target);
const char* simd_name();

}  // namespace ddpm
