#!/usr/bin/env bash
# Installs missing packages, builds, trains on the faces of Debian's emoji font for five minutes, and writes
# demo/grid.png, demo/trajectory.webp and demo/loss.png. After an interruption it continues where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh
cmake --preset release -DDDPM_BUILD_TESTS=OFF -DDDPM_BUILD_EXAMPLES=OFF >/dev/null
echo 'demo: building (a few minutes the first time)'
cmake --build --preset release --target ddpm_cli >/dev/null

ddpm=build/release/ddpm
run=demo/run
mkdir -p demo
if [ -e "$run/config.json" ]; then
  "$ddpm" train --out "$run" --resume
else
  "$ddpm" train --data emoji:smileys-emotion --out "$run" --size 32 --budget 5m
fi
"$ddpm" sample "$run" --n 16 --columns 4 --scale 4 --seed 7 --steps 50 --out demo/grid.png --trajectory demo/trajectory.webp
cp "$run/loss.png" demo/loss.png

echo
echo 'demo: done. Look at'
echo '  demo/grid.png         16 faces'
echo '  demo/trajectory.webp  the denoising, from noise to faces'
echo '  demo/loss.png         the loss during training'
echo "More of them:  $ddpm sample $run --n 64 --seed 1 --out more.png"
