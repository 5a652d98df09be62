#!/usr/bin/env bash
# Installs the Debian packages that are needed to build, run and test ddpm.cpp. Does nothing if all are installed.
#   scripts/setup.sh --checks    also the packages for scripts/check.sh
#   scripts/setup.sh --fuzz      also the packages for the fuzz targets
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config    # the tools
  libhwy-dev                          # SIMD (headers only)
  libfmt-dev nlohmann-json3-dev       # text and JSON (headers only)
  libxxhash-dev                       # checksums (headers only)
  libeigen3-dev                       # eigenvalues (headers only)
  libcli11-dev                        # the command line (headers only)
  libvips-dev                         # pictures: decoding and encoding
  libjpeg62-turbo-dev liblcms2-dev    # JPEG files; colour profiles
  libprotobuf-dev protobuf-compiler   # TensorBoard's event files
  libfreetype-dev zlib1g-dev          # the emoji font; gzipped data sets
  libarchive-dev                      # pictures in .zip and .tar archives
  fonts-noto-color-emoji unicode-data # the emoji and their groups
  libopenmpi-dev openmpi-bin          # several processes (optional)
  libgtest-dev python3                # tests
  iproute2                            # tests of ranks on two hosts
)
case "${1:-}" in
  '') ;;
  --checks) packages+=(clang-format clang-tidy git) ;;
  --fuzz) packages+=(clang-14 libclang-rt-14-dev) ;;
  *) echo "setup: unknown argument '$1'; choose --checks or --fuzz" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = 'install ok installed' ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: run as root: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "setup: installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
