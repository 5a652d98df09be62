#!/usr/bin/env bash
# Installs the package from a build folder into a place of its own, then does what a user's project does with it: every public header alone
# in a file, and examples/hello_sample.cpp through find_package(ddpm), which must link nothing but the C++ run-time.
#   check.sh SOURCE BUILD CXX
set -euo pipefail
source_folder=$1 build_folder=$2 compiler=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build_folder" --prefix "$work/prefix" >/dev/null

check_header() {
  echo "#include \"$1\"" | "$2" -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I "$3" -x c++ - || {
    echo "package: $1 does not stand on its own" >&2
    return 1
  }
}
export -f check_header
(cd "$work/prefix/include" && find ddpm -name '*.h' -print0) |
  xargs -0 -P 2 -I '{}' bash -c 'check_header "$@"' _ '{}' "$compiler" "$work/prefix/include"
if grep -rnE '#include <(fmt|nlohmann|hwy|vips|ft2build|CLI)' "$work/prefix/include"; then
  echo 'package: a public header includes a third party' >&2
  exit 1
fi

mkdir "$work/project"
cp "$source_folder/examples/hello_sample.cpp" "$work/project"
cat > "$work/project/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
find_package(ddpm REQUIRED)
add_executable(hello_sample hello_sample.cpp)
target_link_libraries(hello_sample PRIVATE ddpm::ddpm)
EOF
cmake -G Ninja -S "$work/project" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$compiler" >/dev/null
cmake --build "$work/build" >/dev/null
linked=$(ldd "$work/build/hello_sample" | awk '{print $1}' | grep -vE '^(linux-vdso|/lib|libstdc\+\+|libm\.|libgcc_s|libc\.|libpthread)' || true)
if [ -n "$linked" ]; then
  echo "package: hello_sample also links $linked" >&2
  exit 1
fi
echo 'package: headers, find_package and linking are as promised'
