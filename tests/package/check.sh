#!/usr/bin/env bash
# Uses the library as another project would. First as an installed package: every public header is compiled alone, and
# examples/hello_sample.cpp is built through find_package(ddpm) and must link nothing but the C++ run-time. Then as a part
# of another project (subproject/).
#   check.sh SOURCE BUILD CXX
set -euo pipefail
source_folder=$1 build_folder=$2 compiler=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "package: $*" >&2
  exit 1
}

# The headers -------------------------------------------------------------------------------------

cmake --install "$build_folder" --prefix "$work/prefix" >/dev/null
cd "$work/prefix/include"
mapfile -t headers < <(find ddpm -name '*.h' | sort)

mkdir "$work/alone"
for header in "${headers[@]}"; do
  name=$work/alone/$(tr / _ <<< "$header").cpp
  # Twice, so that a missing #pragma once is found.
  printf '#include "%s"\n#include "%s"\n' "$header" "$header" > "$name"
done
export compiler
# shellcheck disable=SC2016
printf '%s\0' "$work"/alone/*.cpp |
  xargs -0 -P 2 -I '{}' sh -c '"$compiler" -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I . "{}"' ||
  fail "a public header does not compile alone. Does cmake/public_headers.cmake list all that it includes?"

most=20
[ ${#headers[@]} -le $((most + 1)) ] || fail "${#headers[@]} headers are installed; ddpm/ddpm.h and at most $most others may be"
for header in "${headers[@]}"; do
  [ "$header" = ddpm/ddpm.h ] || grep -qF "#include \"$header\"" ddpm/ddpm.h || fail "ddpm/ddpm.h lacks $header"
done
if grep -rnE '#include <(fmt|nlohmann|hwy|vips|ft2build|CLI)' .; then
  fail 'a public header includes a third-party header'
fi

# The installed package ---------------------------------------------------------------------------

mkdir "$work/project"
cp "$source_folder/examples/hello_sample.cpp" "$work/project"
cat > "$work/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
find_package(ddpm REQUIRED)
add_executable(hello_sample hello_sample.cpp)
target_link_libraries(hello_sample PRIVATE ddpm::ddpm)
CMAKE
cmake -G Ninja -S "$work/project" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_COMPILER="$compiler" >/dev/null
cmake --build "$work/build" >/dev/null
linked=$(ldd "$work/build/hello_sample" | awk '{print $1}' | grep -vE '^(linux-vdso|/lib|libstdc\+\+|libm\.|libgcc_s|libc\.|libpthread)' || true)
[ -z "$linked" ] || fail "hello_sample also links $linked"

# A part of another project -----------------------------------------------------------------------

subproject=$work/subproject
cmake -G Ninja -S "$here/subproject" -B "$subproject" -DDDPM_SOURCE="$source_folder" -DCMAKE_CXX_COMPILER="$compiler" \
  -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
targets=$(cmake --build "$subproject" --target help)
for absent in test_ ddpm_cli hello_sample ddpm_test_support; do
  ! grep -q "$absent" <<< "$targets" || fail "as a part of another project, $absent is built although nobody asked for it"
done
! grep -qE '"command": .* -(O[1-3]|DNDEBUG)' "$subproject/compile_commands.json" ||
  fail 'as a part of another project, ddpm is not built with the build type of that project'
cmake --build "$subproject" --target user >/dev/null
cmake --install "$subproject" --prefix "$work/empty" >/dev/null
[ ! -e "$work/empty" ] || fail 'as a part of another project, files are installed although nobody asked for them'

echo 'package: headers, find_package, linking and add_subdirectory work'
