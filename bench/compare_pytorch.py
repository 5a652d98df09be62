#!/usr/bin/python3
"""Compares ddpm with Debian's PyTorch on the same networks, of the tutorial and of lucidrains: both are
measured in turn, round by round. The ratios of the minima are printed as a Markdown table.

    apt-get install --no-install-recommends python3-torch libopenblas0-openmp
    bench/compare_pytorch.py [--rounds 3] [--case NAME]... [--no-cases] [--memory] [--sampling]

For each case, the faster of PyTorch's two memory formats is taken. A training step is forward,
backward, clipping, Adam and EMA on both sides. Results from a busy machine mean little, so its
load is printed with them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from network_cases import CASES

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
TOOLS = os.path.join(ROOT, "bench/pytorch")
PYTORCH = os.path.join(TOOLS, "bench_unet.py")
FORMATS = ("contiguous", "channels_last")

MEMORY_CASE = "--dim 64 --dim-mults 1,2,4,8 --size 32 --batch 32"
SAMPLING_NETWORK = "--dim 64 --dim-mults 1,2,4,8 --size 32"


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


def memory(ddpm, ours, theirs):
    """Peak resident memory of a training process, in MB of 1e6 bytes on both sides."""
    pytorch = min(theirs(MEMORY_CASE, "--seconds", "0", "--repetitions", "1", "--only", "train",
                         "--adam", "plain", "--format", memory_format)["peak_rss_mb"]
                  for memory_format in FORMATS)
    print("\nPeak memory of training at batch 32, 32x32, dim 64, mults 1 2 4 8:\n")
    print("| | MB | of PyTorch's |\n| --- | ---: | ---: |")
    print(f"| PyTorch, without EMA | {pytorch:.0f} | |")
    if ddpm is None:
        return
    rows = {"ddpm, with EMA": (), "ddpm, with EMA, --recompute": ("--recompute",)}
    for name, flags in rows.items():
        mine = ours(MEMORY_CASE, "--repetitions", "1", *flags)["peak_rss_mb"]
        print(f"| {name} | {mine:.0f} | {mine / pytorch:.2f} |")


def check_pictures(mine, theirs):
    """Exits unless both drew the same pictures. Few bytes may differ, and by no more than rounding."""
    compare = ("import sys, numpy as np, pictures_np as p\n"
               "a, b = (p.read_png(path).astype(int) for path in sys.argv[1:])\n"
               "same = a.shape == b.shape and abs(a - b).max() <= 2 and (a != b).mean() < 0.01\n"
               "sys.exit(0 if same else 1)")
    if subprocess.run(["/usr/bin/python3", "-c", compare, mine, theirs],
                      env={**os.environ, "PYTHONPATH": TOOLS}).returncode != 0:
        sys.exit("the two sides drew different pictures")


def sampling(ddpm, threads, rounds):
    """Wall time of whole processes that draw 16 pictures by 50 steps of DDIM, from the program's
    start to the file written. The weights are random: time does not depend on them."""
    def run(command):
        start = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr}")
        return time.perf_counter() - start

    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model.safetensors")
        pictures = [os.path.join(folder, name) for name in ("ddpm.png", "pytorch.png")]
        run(["/usr/bin/python3", os.path.join(TOOLS, "make_network.py"), folder,
             *SAMPLING_NETWORK.split(), "--batch", "1"])

        def ours(n, steps):
            return run([ddpm, "sample", model, "--size", "32", "--sampler", "ddim",
                        "--spacing", "linspace", "--out", pictures[0], "--n", str(n), "--steps", str(steps), *threads])

        def theirs(n, steps, *more):
            return run(["/usr/bin/python3", os.path.join(TOOLS, "sample_unet.py"), model,
                        *SAMPLING_NETWORK.split(), "--out", pictures[1], "--n", str(n), "--steps",
                        str(steps), *threads, *more])

        ours(4, 5)
        theirs(4, 5, "--noise", "ddpm")
        check_pictures(*pictures)
        mine, pytorch = [], {name: [] for name in FORMATS}
        for _ in range(rounds):
            mine.append(ours(16, 50))
            for name in FORMATS:
                pytorch[name].append(theirs(16, 50, "--format", name))
    best = {name: min(times) for name, times in pytorch.items()}
    name = min(best, key=best.get)
    print(f"\n16 pictures of 32x32, 50 steps of DDIM, dim 64, mults 1 2 4 8, whole process: ddpm "
          f"{min(mine):.2f} s, PyTorch {best[name]:.2f} s ({name}), {best[name] / min(mine):.2f}x")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ddpm", default=os.path.join(ROOT, "build/release/ddpm"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement, on both sides")
    parser.add_argument("--case", choices=CASES, action="append", help="one case (default: all)")
    parser.add_argument("--pytorch-only", action="store_true")
    parser.add_argument("--memory", action="store_true",
                        help="also peak memory of training at batch 32 (PyTorch without an EMA)")
    parser.add_argument("--sampling", action="store_true",
                        help="also whole processes that draw 16 pictures in 50 steps")
    parser.add_argument("--no-cases", action="store_true", help="only what --memory and --sampling ask for")
    args = parser.parse_args()
    if args.sampling and args.pytorch_only:
        parser.error("--sampling compares the two sides; it cannot be used with --pytorch-only")
    if not args.pytorch_only and not os.path.exists(args.ddpm):
        parser.error(f"no {args.ddpm}: build it, or name another with --ddpm")
    threads = ["--threads", str(args.threads)]

    def ours(case, *more):
        return last_line([args.ddpm, "bench", *case.split(), *threads, *more, "--json"])

    def theirs(case, *more):
        return last_line(["/usr/bin/python3", PYTORCH, *case.split(), *threads, *more])

    begin_load = os.getloadavg()[0]
    rows = []
    for name in [] if args.no_cases else args.case or CASES:
        mine, pytorch = {}, {}
        for _ in range(args.rounds):
            if not args.pytorch_only:
                keep_minimum(mine, ours(CASES[name], "--seconds", str(args.seconds)))
            keep_minimum(pytorch, theirs(CASES[name], "--seconds", str(args.seconds),
                                         "--only", "forward", "--only", "train_ema"))
        rows.append((name, mine, pytorch))
        print(json.dumps({"case": name, "ddpm": mine, "pytorch": pytorch}), file=sys.stderr)

    print(f"{args.threads} threads, minima of {args.rounds} round(s), load before {begin_load:.1f}, "
          f"after {os.getloadavg()[0]:.1f}" + ("\n" if rows else ""))
    if rows:
        print("| case | forward: ddpm | PyTorch | ratio | training step: ddpm | PyTorch | ratio |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, mine, pytorch in rows:
        cells = []
        for key, other in (("forward_s", "forward_s"), ("train_step_s", "train_step_ema_s")):
            a, b = mine.get(key), pytorch.get(other)
            cells += [milliseconds(a), milliseconds(b), ratio(b, a)]
        print(f"| {name} | {' | '.join(cells)} |")

    if args.memory:
        memory(None if args.pytorch_only else args.ddpm, ours, theirs)
    if args.sampling:
        sampling(args.ddpm, threads, args.rounds)


if __name__ == "__main__":
    main()
