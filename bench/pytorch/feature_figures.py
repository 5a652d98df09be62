#!/usr/bin/python3
"""Computes the figures of `ddpm eval` from features, with NumPy and in float64, by other ways than ddpm's:

    feature_figures.py FEATURES.safetensors     of a file of `ddpm eval --save-features`
    feature_figures.py --golden FILE            writes the numbers that figures_test.cpp compares with

The root of the Frechet distance comes from the eigenvalues of the product of both covariances, which is not symmetric. If
a set has no more vectors than features, it comes from the singular values of a product of the sets themselves.
"""

import argparse

import numpy as np

import safetensors_np


def frechet(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    if min(len(a), len(b)) > a.shape[1]:
        shared = np.sqrt(np.maximum(np.linalg.eigvals(cov_a @ cov_b).real, 0)).sum()
    else:
        centred = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b)]
        shared = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    apart = a.mean(0) - b.mean(0)
    return apart @ apart + np.trace(cov_a) + np.trace(cov_b) - 2 * shared


def kernel(a, b):
    """The unbiased estimate of all vectors, without subsets."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    cube = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3
    within = lambda x: (cube(x, x).sum() - np.trace(cube(x, x))) / (len(x) * (len(x) - 1))
    return within(a) + within(b) - 2 * cube(a, b).mean()


def kernel_error(a, b):
    """The jackknife's standard error of kernel()."""
    def variance(values):
        return np.var(values) * (len(values) - 1)
    return np.sqrt(variance([kernel(np.delete(a, i, 0), b) for i in range(len(a))]) +
                   variance([kernel(a, np.delete(b, i, 0)) for i in range(len(b))]))


def distances(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.array([np.sqrt(((x - b) ** 2).sum(1)) for x in a])


def manifold(real, generated, k):
    """Precision, recall, density and coverage."""
    radii_real = np.sort(distances(real, real), axis=1)[:, k]  # the first is the vector itself
    radii_generated = np.sort(distances(generated, generated), axis=1)[:, k]
    between = distances(real, generated)
    in_real = between <= radii_real[:, None]
    in_generated = between <= radii_generated[None, :]
    return np.array([in_real.any(0).mean(), in_generated.any(1).mean(), in_real.sum(0).mean() / k,
                     in_real.any(1).mean()])


def figures(real, generated, k=5):
    return {"frechet": np.array([frechet(real, generated)]), "kernel": np.array([kernel(real, generated)]),
            "manifold": manifold(real, generated, k)}


def golden(path):
    random = np.random.default_rng(1)
    mix = random.normal(size=(7, 7))
    tensors = {}
    sets = {"plain": (random.normal(size=(90, 7)) @ mix + 0.5,
                      random.normal(size=(80, 7)) @ mix * 0.9 + 0.4),
            "equal": (random.normal(size=(40, 7)) @ mix, random.normal(size=(40, 7)) @ mix + 0.2),
            "few": (random.normal(size=(6, 7)) @ mix, random.normal(size=(30, 7)) @ mix)}
    sets["few"][1][:, 3] = 0.25  # a feature that is constant in one set
    for name, (real, generated) in sets.items():
        real, generated = [x.astype(np.float32).astype(np.float64) for x in (real, generated)]
        tensors[name + ".real"], tensors[name + ".generated"] = real, generated
        for figure, value in figures(real, generated, 3).items():
            tensors[name + "." + figure] = value
        tensors[name + ".kernel_error"] = np.array([kernel_error(real, generated)])
    safetensors_np.save(path, tensors, {"made by": "bench/pytorch/feature_figures.py", "k": "3"})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", nargs="?")
    parser.add_argument("--golden", metavar="FILE")
    args = parser.parse_args()
    if args.golden:
        golden(args.golden)
        return
    sets, _ = safetensors_np.load(args.features)
    for name, value in figures(sets["real"], sets["generated"]).items():
        print(name, *("%.9g" % v for v in value))


if __name__ == "__main__":
    main()
