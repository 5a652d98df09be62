#!/usr/bin/env bash
# Learns digits by class and smileys by group, and draws each with guidance 1, 3 and 6 (about ten minutes on 2 cores).
# MNIST is a folder with train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz. Makes demo/{digits,emoji}-{1,3,6}.png.
# After an interruption it continues where it stopped.
set -euo pipefail
mnist=$(realpath "${1:?usage: scripts/classes.sh MNIST}")
cd "$(dirname "$0")/.."

scripts/setup.sh
cmake --preset release -DDDPM_BUILD_TESTS=OFF -DDDPM_BUILD_EXAMPLES=OFF >/dev/null
echo 'classes: building (a few minutes the first time)'
cmake --build --preset release --target ddpm_cli >/dev/null

ddpm=build/release/ddpm
mkdir -p demo

# learn NAME STEPS FLAG...: up to STEPS in all.
learn() {
  local run=demo/$1 steps=$2
  shift 2
  "$ddpm" train --recipe tutorial --out "$run" --resume-or-start --steps "$steps" --save-every 100 --sample-every 500 "$@"
}

# draw NAME CLASSES N
draw() {
  for guidance in 1 3 6; do
    "$ddpm" sample "demo/$1" --class "$2" --n "$3" --seed 1 --guidance "$guidance" --out "demo/$1-$guidance.png"
  done
}

learn digits 1000 --data "mnist:$mnist" --classes --size 28 --dim 32 --dim-mults 1,2,4 --batch 64 --lr 1e-3 --ema-decay 0.995
draw digits all 8
learn emoji 3000 --data emoji:smileys-emotion --classes --size 32 --channels 3 --dim 32 --dim-mults 1,2,4 --batch 16 \
  --lr 1e-3 --ema-decay 0.995 --objective v
draw emoji cat-face,emotion,face-affection,face-glasses,face-negative,face-tongue,heart,monkey-face 6
