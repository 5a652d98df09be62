#include "ddpm/kernels/cpu/simd/simd.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>

#include "ddpm/base/error.h"
#include "ddpm/base/options.h"

namespace ddpm {
namespace {

#if defined(__x86_64__) || defined(__i386__)
// Not every compiler's __builtin_cpu_supports knows this one. AVX2 says that the system saves its
// registers.
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

// Everything that Highway's AVX2 and AVX3 targets let the compiler use.
bool cpu_has(Simd target) {
#if defined(__x86_64__) || defined(__i386__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && has_f16c() &&
                    __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
  switch (target) {
    case Simd::kBaseline:
      return true;
    case Simd::kAvx2:
      return avx2;
    case Simd::kAvx512:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512cd");
  }
#endif
  return target == Simd::kBaseline;
}

[[noreturn]] void fail_unsupported(const std::string& name) {
  std::vector<std::string> choices;
  for (Simd target : supported_simd()) choices.emplace_back(simd_name(target));
  fail_usage("simd", fmt::format("this machine cannot run '{}' kernels; it can run {}", name,
                                 join_choices(choices)));
}

Simd initial_simd() {
  const std::vector<Simd> supported = supported_simd();
  const char* wanted = std::getenv("DDPM_SIMD");
  if (wanted == nullptr || *wanted == '\0') return supported.back();
  for (Simd target : supported) {
    if (std::string(wanted) == simd_name(target)) return target;
  }
  fail_unsupported(wanted);
}

std::atomic<Simd>& current() {
  static std::atomic<Simd> target{initial_simd()};
  return target;
}

}  // namespace

Simd simd() { return current().load(std::memory_order_relaxed); }

void set_simd(Simd target) {
  if (!cpu_has(target)) fail_unsupported(simd_name(target));
  current().store(target, std::memory_order_relaxed);
}

std::vector<Simd> supported_simd() {
  std::vector<Simd> targets;
  for (Simd target : {Simd::kBaseline, Simd::kAvx2, Simd::kAvx512}) {
    if (cpu_has(target)) targets.push_back(target);
  }
  return targets;
}

const char* simd_name(Simd target) {
  switch (target) {
    case Simd::kAvx2:
      return "avx2";
    case Simd::kAvx512:
      return "avx512";
    case Simd::kBaseline:
      break;
  }
#if defined(__ARM_NEON)
  return "neon";
#else
  return "scalar";
#endif
}

const char* simd_name() { return simd_name(simd()); }

}  // namespace ddpm
