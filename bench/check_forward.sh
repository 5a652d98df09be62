#!/usr/bin/env bash
# PyTorch writes networks of many shapes with random weights as bare state dicts. `ddpm forward` runs them, and its
# outputs are compared with PyTorch's in float64. Needs python3-torch.
#   check_forward.sh [DDPM]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
ddpm=${1:-$root/build/release/ddpm}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

check() {  # flags of make_network.py; what `ddpm forward` cannot infer follows after --
  local network=() told=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do network+=("$1"); shift; done
  [ $# -gt 0 ] && { shift; told=("$@"); }
  /usr/bin/python3 "$root/bench/pytorch/make_network.py" "$work" --double "${network[@]}" >/dev/null
  "$ddpm" forward "$work/model.safetensors" --in "$work/in.safetensors" --out "$work/got.safetensors" "${told[@]}" >/dev/null
  printf '%-72s ' "${network[*]}"
  /usr/bin/python3 "$root/bench/pytorch/compare.py" "$work/got.safetensors" "$work/out.safetensors"
}

check --dim 8 --dim-mults 1,2,4,8 --size 32 --batch 2
check --dim 12 --dim-mults 1,3 --channels 4 --size 10x6 --batch 3
check --dim 20 --dim-mults 1 --channels 1 --size 7x5 --batch 2
check --dim 36 --dim-mults 1,2,3 --channels 3 --size 12x20 --batch 1
check --dim 28 --dim-mults 2,1 --init-dim 12 --channels 4 --size 14x6 --batch 2
check --dim 24 --dim-mults 1,2 --groups 3 --output-dim 6 --size 18x10 --batch 2 -- --groups 3
check --dim 64 --dim-mults 1,2,4 --size 32 --batch 2
check --dim 64 --dim-mults 1,2,4,8 --size 32 --batch 1
check --dim 44 --dim-mults 1,2,4 --size 28x36 --batch 2 --int-t
check --dim 128 --dim-mults 1,2 --size 16x24 --batch 1
check --dim 10 --dim-mults 1 --groups 5 --channels 2 --size 1x9 --batch 2 -- --groups 5

lucidrains() { check --network lucidrains "$@"; }
lucidrains --dim 64 --dim-mults 1,2,4,8 --size 32 --batch 2
lucidrains --dim 32 --dim-mults 1,2,4 --size 32 --batch 3
lucidrains --dim 20 --dim-mults 1,3 --channels 4 --output-dim 5 --size 10x6 --batch 3
lucidrains --dim 28 --dim-mults 2,1 --init-dim 12 --size 14x6 --batch 2 --int-t
lucidrains --dim 12 --dim-mults 1 --channels 1 --size 7x5 --batch 2
lucidrains --dim 24 --dim-mults 1,2,2 --heads 1,2,3 --dim-head 8,40,16 --full-attn 1,0,1 --size 12x20 --batch 2
lucidrains --dim 16 --dim-mults 1,2 --mem-kv 7 --heads 2 --full-attn 0 --size 16x24 --batch 2
lucidrains --dim 16 --dim-mults 1,2 --theta 500 --self-condition --size 16 --batch 2 -- --theta 500
