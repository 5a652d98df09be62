// Which Highway targets kernel files are compiled for, and how one is picked at run time. A kernel
// file reads
//
//   #undef HWY_TARGET_INCLUDE
//   #define HWY_TARGET_INCLUDE "ddpm/kernels/cpu/FOLDER/this_file.cpp"
//   #include "ddpm/kernels/cpu/simd/simd_targets.h"
//   #include "hwy/foreach_target.h"
//   #include "hwy/highway.h"
//   HWY_BEFORE_NAMESPACE();
//   namespace ddpm::cpu::HWY_NAMESPACE { void scale(float* x) { ... } }
//   HWY_AFTER_NAMESPACE();
//   #if HWY_ONCE
//   namespace ddpm::cpu {
//   DDPM_SIMD_TABLE(scale);                             // one pointer per target
//   void scale(float* x) { DDPM_SIMD_CHOOSE(scale)(x); }
//   }
//   #endif
//
// A struct that kernels take must be one type for all targets. Declare it in a header, or at the
// top of the same file behind a guard (#ifndef) of its own: the file includes itself once per
// target.
//
// Between BEFORE and AFTER call no templates or inline functions of the standard library: one
// instance serves the whole program, and compiled there it could carry instructions that the CPU at
// hand lacks. HWY_EXPORT and HWY_DYNAMIC_DISPATCH would need libhwy and are not used.
#pragma once

#if defined(__x86_64__) || defined(__i386__)
#define HWY_BASELINE_TARGETS HWY_BASELINE_SCALAR
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#else
#define HWY_COMPILE_ONLY_STATIC
#endif

#include "ddpm/kernels/cpu/simd/simd.h"

// Behind the parameters of a lambda between BEFORE and AFTER: the target, which lambdas do not take
// from their surroundings, and the promise to inline it.
#define DDPM_SIMD_LAMBDA HWY_ATTR __attribute__((always_inline))

#define DDPM_SIMD_TABLE(function)                                                    \
  static constexpr decltype(&HWY_STATIC_DISPATCH(function)) function##_by_simd[] = { \
      HWY_CHOOSE_FALLBACK(function), HWY_CHOOSE_AVX2(function), HWY_CHOOSE_AVX3(function)}
#define DDPM_SIMD_CHOOSE(function) (*function##_by_simd[static_cast<int>(::ddpm::simd())])
