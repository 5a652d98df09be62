#!/usr/bin/env bash
# What docs/conditions.md describes: small emoji enlarged four times and grey ones coloured, by two networks that are
# trained on other emoji. About ten minutes of training each on two free cores, and minutes to build the first time. Leaves
# demo/superresolution.png and demo/colourisation.png. After an interruption it continues where it stopped.
#   scripts/conditions.sh [STEPS]    trains for so many steps in all (3000), which may be fewer: the next call goes on
set -euo pipefail
cd "$(dirname "$0")/.."
steps=${1:-3000}

scripts/setup.sh
cmake --preset release -DDDPM_BUILD_TESTS=OFF -DDDPM_BUILD_EXAMPLES=OFF >/dev/null
echo 'conditions: building (a few minutes the first time)'
cmake --build --preset release --target ddpm_cli >/dev/null

ddpm=build/release/ddpm
work=demo/conditions
mkdir -p "$work"

# All emoji as files, in an order that a seed gives; every 60th is kept from the training.
if [ ! -e "$work/test" ]; then
  rm -rf "$work/train" "$work/test.new"
  "$ddpm" data emoji --size 32 --channels 3 --n 10000 --scale 1 --out "$work/emoji.png" --each "$work/train"
  mkdir "$work/test.new"
  number=0
  for picture in "$work"/train/*.png; do
    number=$((number + 1))
    if [ $((number % 60)) -eq 0 ]; then mv "$picture" "$work/test.new"; fi
  done
  mv "$work/test.new" "$work/test"
fi

# learn NAME CONDITION
learn() {
  local run="$work/$1"
  if [ -e "$run/config.json" ]; then
    "$ddpm" train --out "$run" --resume --steps "$steps"
  else
    "$ddpm" train --recipe tutorial --data "$work/train" --condition "$2" --out "$run" --size 32 --channels 3 --dim 32 \
      --dim-mults 1,2,4 --batch 16 --lr 1e-3 --ema-decay 0.995 --objective v --flip --steps "$steps" --save-every 250 \
      --sample-every 500
  fi
  "$ddpm" sample "$run" --input "$work/test" --size 32 --seed 3 --columns 4 --scale 2 --out "demo/$1.png"
}
learn superresolution downscale:4
learn colourisation grey

echo
echo 'conditions: done. Look at'
echo '  demo/superresolution.png  emoji of 8 x 8 pixels and what they became'
echo '  demo/colourisation.png    grey emoji and their new colours'
