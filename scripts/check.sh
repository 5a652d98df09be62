#!/usr/bin/env bash
# Runs the checks that a release build and its tests do not include: format, clang-tidy on changed files, and the tests
# under sanitizers. CI runs it after scripts/test.sh. Takes about 20 minutes on 2 cores.
#   scripts/check.sh [format|fuzz|tidy|asan|tsan]...     only these checks; by default all
set -euo pipefail
cd "$(dirname "$0")/.."

# The tests that run under the address sanitizer. The others run the same code through the program, or mostly wait for
# libraries.
asan_tests=(base comm tensor io data data_stream kernels autograd nn optim parallel diffusion eval figures engine run)
# The tests of code that several threads use: locks, the pool, ranks, the allocator, streamed pictures, trainers and readers
# of a run.
tsan_tests=(base comm tensor data_stream parallel engine run)

# sanitize PRESET TEST...
sanitize() {
  local preset=$1
  shift
  # Without DDPM_WERROR, because the compiler gives further warnings for instrumented code.
  cmake --preset "$preset" -DDDPM_WERROR=OFF >/dev/null
  cmake --build --preset "$preset" --target "${@/#/test_}"
  local any
  any=$(IFS='|'; echo "$*")
  ctest --preset "$preset" -j "$(nproc)" -R "^($any): "
}

# Fuzz targets are only built by hand, with clang. This only checks that they fit the functions they call.
check_fuzz_targets() {
  printf '%s\0' fuzz/*.cpp | xargs -0 -P "$(nproc)" -n 1 c++ -std=c++20 -DFMT_HEADER_ONLY -I . -Wall -fsyntax-only
}

run() {
  case $1 in
    format) scripts/format --check ;;
    fuzz) check_fuzz_targets ;;
    tidy) cmake --preset release >/dev/null && scripts/tidy ;;
    asan) sanitize asan "${asan_tests[@]}" ;;
    tsan) sanitize tsan "${tsan_tests[@]}" ;;
    *) echo "check: unknown check '$1'; choose format, fuzz, tidy, asan or tsan" >&2; exit 2 ;;
  esac
}

[ $# -gt 0 ] || set -- format fuzz tidy asan tsan
scripts/setup.sh --checks
for check in "$@"; do
  SECONDS=0
  run "$check"
  echo "check: $check passed in $((SECONDS / 60)) min $((SECONDS % 60)) s"
done
