#!/usr/bin/python3
"""Compares two safetensors files by the relative L2 error of every tensor of WANT. Exits with 1 if a
tensor is missing, has another shape, or has an error above --bound."""

import argparse
import sys

import numpy as np

import safetensors_np


def relative_l2(got, want):
    got, want = got.astype(np.float64), want.astype(np.float64)
    difference, norm = np.linalg.norm(got - want), np.linalg.norm(want)
    return 0.0 if difference == 0 else float("inf") if norm == 0 else difference / norm


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("got")
    parser.add_argument("want")
    parser.add_argument("--bound", type=float, default=1e-5)
    args = parser.parse_args()
    got, want = safetensors_np.load(args.got)[0], safetensors_np.load(args.want)[0]
    errors, good = {}, True
    for name, values in want.items():
        if name not in got or got[name].shape != values.shape:
            found = got[name].shape if name in got else "absent"
            print(f"{name}: {found}, {values.shape} was wanted")
            good = False
            continue
        errors[name] = relative_l2(got[name], values)
        if not errors[name] <= args.bound:
            print(f"{name}: {errors[name]:.2e}")
            good = False
    if errors:
        worst = max(errors, key=lambda name: (np.isnan(errors[name]), errors[name]))
        print(f"{len(errors)} tensors, worst {errors[worst]:.2e} ({worst}), "
              f"median {np.median(list(errors.values())):.2e}")
    print("good" if good else "BAD")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
