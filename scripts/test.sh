#!/usr/bin/env bash
# Installs what is missing, builds everything and runs every test: the first half of what CI runs.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
cmake --preset release -DDDPM_WERROR=ON -DDDPM_BUILD_BENCH=ON
cmake --build --preset release
ctest --preset release -j "$(nproc)"
