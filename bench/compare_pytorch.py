#!/usr/bin/python3
"""ddpm against Debian's PyTorch on the same networks, side by side: rounds of both, one after the
other, in one run, and the ratios of the minima as a Markdown table.

    apt-get install --no-install-recommends python3-torch libopenblas0-openmp
    bench/compare_pytorch.py [--rounds 3] [--case NAME] [--memory]

PyTorch takes part with the better of its two memory formats, case by case. Both sides' training
step is forward, backward, clipping, Adam and EMA. Numbers from a busy machine are worth little: the
load is printed with them.
"""

import argparse
import json
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
PYTORCH = os.path.join(ROOT, "bench/pytorch/bench_unet.py")

CASES = {
    "batch 8, 32x32": "--dim 64 --dim-mults 1,2,4,8 --size 32 --batch 8",
    "batch 1, 32x32": "--dim 64 --dim-mults 1,2,4,8 --size 32 --batch 1",
    "batch 4, 64x64": "--dim 64 --dim-mults 1,2,4,8 --size 64 --batch 4",
    "dim 32, mults 1 2 4, batch 32, 32x32": "--dim 32 --dim-mults 1,2,4 --size 32 --batch 32",
    "dim 128, mults 1 2 2 2, batch 4, 32x32": "--dim 128 --dim-mults 1,2,2,2 --size 32 --batch 4",
}
MEMORY_CASE = "--dim 64 --dim-mults 1,2,4,8 --size 32 --batch 32"


def last_line(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def keep_minimum(best, result):
    for key in ("forward_s", "train_step_s", "train_step_ema_s"):
        if key in result and result[key] < best.get(key, float("inf")):
            best[key] = result[key]
    for key in ("forward_flops", "simd"):
        if key in result:
            best[key] = result[key]


def milliseconds(seconds):
    return "-" if seconds is None else f"{1e3 * seconds:.1f} ms"


def ratio(theirs, ours):
    return "-" if ours is None or theirs is None else f"{theirs / ours:.2f}x"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ddpm", default=os.path.join(ROOT, "build/release/ddpm"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="per measurement of PyTorch")
    parser.add_argument("--case", choices=CASES, action="append", help="one case (default: all)")
    parser.add_argument("--pytorch-only", action="store_true")
    parser.add_argument("--memory", action="store_true",
                        help="peak memory of training at batch 32 as well (PyTorch without an EMA)")
    args = parser.parse_args()
    if not args.pytorch_only and not os.path.exists(args.ddpm):
        parser.error(f"no {args.ddpm}: build it, or name another with --ddpm")
    threads = ["--threads", str(args.threads)]

    def ours(case):
        return last_line([args.ddpm, "bench", *case.split(), *threads, "--json"])

    def theirs(case, *more):
        return last_line(["/usr/bin/python3", PYTORCH, *case.split(), *threads, *more])

    begin_load = os.getloadavg()[0]
    rows = []
    for name in args.case or CASES:
        mine, pytorch = {}, {}
        for _ in range(args.rounds):
            if not args.pytorch_only:
                keep_minimum(mine, ours(CASES[name]))
            keep_minimum(pytorch, theirs(CASES[name], "--seconds", str(args.seconds),
                                         "--only", "forward", "--only", "train_ema"))
        rows.append((name, mine, pytorch))
        print(json.dumps({"case": name, "ddpm": mine, "pytorch": pytorch}), file=sys.stderr)

    print(f"{args.threads} threads, minima of {args.rounds} rounds, load before {begin_load:.1f}, "
          f"after {os.getloadavg()[0]:.1f}\n")
    print("| case | forward: ddpm | PyTorch | ratio | training step: ddpm | PyTorch | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, mine, pytorch in rows:
        cells = []
        for key, other in (("forward_s", "forward_s"), ("train_step_s", "train_step_ema_s")):
            a, b = mine.get(key), pytorch.get(other)
            cells += [milliseconds(a), milliseconds(b), ratio(b, a)]
        print(f"| {name} | {' | '.join(cells)} |")

    if args.memory:
        b = min(theirs(MEMORY_CASE, "--seconds", "0", "--only", "train", "--format",
                       memory_format)["peak_rss_mb"]
                for memory_format in ("contiguous", "channels_last"))
        a = None if args.pytorch_only else ours(MEMORY_CASE)["peak_rss_mb"]
        print(f"\nPeak memory of training at batch 32, 32x32, dim 64: PyTorch without EMA {b:.0f} MB"
              + ("" if a is None else f", ddpm with EMA {a:.0f} MB, {a / b:.2f} of it"))


if __name__ == "__main__":
    main()
