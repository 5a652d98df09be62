#!/usr/bin/env bash
# Installs missing packages, builds everything and runs all tests. CI runs it before scripts/check.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
cmake --preset release -DDDPM_WERROR=ON -DDDPM_BUILD_BENCH=ON
cmake --build --preset release
ctest --preset release -j "$(nproc)"
