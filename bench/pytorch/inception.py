#!/usr/bin/python3
"""Inception-v3 as pytorch-fid has it, in PyTorch, with torchvision's state-dict names:

    inception.py --golden tests/peers/inception.safetensors   # what the tests compare with
    inception.py --weights FILE                               # random weights, for ddpm eval --features FILE
    inception.py --time 16                                    # pictures per second

Weights and pictures are random numbers of ddpm/base/philox.h, so that a test can make them again. The
golden numbers are the 2048 features of each picture, computed in float64 and rounded to float32.
"""

import argparse
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import philox_np
import safetensors_np

SEED = 2015
# height, width, channels: enlarged, reduced (without a filter, as pytorch-fid does), grey
PICTURES = [(32, 40, 3), (320, 301, 3), (28, 28, 1)]


class Layer(nn.Module):
    def __init__(self, inputs, outputs, kernel=1, stride=1, padding=0):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def mean_pool(x):
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def max_pool(x):
    return F.max_pool2d(x, 3, stride=1, padding=1)


def halving_pool(x):
    return F.max_pool2d(x, 3, stride=2)


# How the kernel of a layer is written in the tables below.
KERNELS = {
    "1": {},
    "3": dict(kernel=3, padding=1),
    "5": dict(kernel=5, padding=2),
    "1x3": dict(kernel=(1, 3), padding=(0, 1)),
    "3x1": dict(kernel=(3, 1), padding=(1, 0)),
    "1x7": dict(kernel=(1, 7), padding=(0, 3)),
    "7x1": dict(kernel=(7, 1), padding=(3, 0)),
    "3 valid": dict(kernel=3),
    "3 half": dict(kernel=3, stride=2),
}


class Mixed(nn.Module):
    """A branch is a list of layers (name, kernel, outputs), of functions, and at its end perhaps a tuple of
    layers that all read the same map."""

    def __init__(self, inputs, branches):
        super().__init__()
        self.branches = []
        for branch in branches:
            width, steps = inputs, []
            for step in branch:
                if callable(step):
                    steps.append(step)
                    continue
                group = step if isinstance(step[0], tuple) else (step,)
                layers = [Layer(width, outputs, **KERNELS[kernel]) for _, kernel, outputs in group]
                for (name, _, _), layer in zip(group, layers):
                    self.add_module(name, layer)
                steps.append(lambda x, layers=layers: torch.cat([layer(x) for layer in layers], 1))
                width = sum(outputs for _, _, outputs in group)
            self.branches.append(steps)

    def forward(self, x):
        results = []
        for steps in self.branches:
            y = x
            for step in steps:
                y = step(y)
            results.append(y)
        return torch.cat(results, 1)


def mixed_5(inputs, pooled):
    return Mixed(inputs, [
        [("branch1x1", "1", 64)],
        [("branch5x5_1", "1", 48), ("branch5x5_2", "5", 64)],
        [("branch3x3dbl_1", "1", 64), ("branch3x3dbl_2", "3", 96), ("branch3x3dbl_3", "3", 96)],
        [mean_pool, ("branch_pool", "1", pooled)],
    ])


def mixed_6a():
    return Mixed(288, [
        [("branch3x3", "3 half", 384)],
        [("branch3x3dbl_1", "1", 64), ("branch3x3dbl_2", "3", 96), ("branch3x3dbl_3", "3 half", 96)],
        [halving_pool],
    ])


def mixed_6(inner):
    return Mixed(768, [
        [("branch1x1", "1", 192)],
        [("branch7x7_1", "1", inner), ("branch7x7_2", "1x7", inner), ("branch7x7_3", "7x1", 192)],
        [("branch7x7dbl_1", "1", inner), ("branch7x7dbl_2", "7x1", inner), ("branch7x7dbl_3", "1x7", inner),
         ("branch7x7dbl_4", "7x1", inner), ("branch7x7dbl_5", "1x7", 192)],
        [mean_pool, ("branch_pool", "1", 192)],
    ])


def mixed_7a():
    return Mixed(768, [
        [("branch3x3_1", "1", 192), ("branch3x3_2", "3 half", 320)],
        [("branch7x7x3_1", "1", 192), ("branch7x7x3_2", "1x7", 192), ("branch7x7x3_3", "7x1", 192),
         ("branch7x7x3_4", "3 half", 192)],
        [halving_pool],
    ])


def mixed_7(inputs, pool):
    return Mixed(inputs, [
        [("branch1x1", "1", 320)],
        [("branch3x3_1", "1", 384), (("branch3x3_2a", "1x3", 384), ("branch3x3_2b", "3x1", 384))],
        [("branch3x3dbl_1", "1", 448), ("branch3x3dbl_2", "3", 384),
         (("branch3x3dbl_3a", "1x3", 384), ("branch3x3dbl_3b", "3x1", 384))],
        [pool, ("branch_pool", "1", 192)],
    ])


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Layer(3, 32, **KERNELS["3 half"])
        self.Conv2d_2a_3x3 = Layer(32, 32, **KERNELS["3 valid"])
        self.Conv2d_2b_3x3 = Layer(32, 64, **KERNELS["3"])
        self.Conv2d_3b_1x1 = Layer(64, 80)
        self.Conv2d_4a_3x3 = Layer(80, 192, **KERNELS["3 valid"])
        self.Mixed_5b = mixed_5(192, 32)
        self.Mixed_5c = mixed_5(256, 64)
        self.Mixed_5d = mixed_5(288, 64)
        self.Mixed_6a = mixed_6a()
        self.Mixed_6b = mixed_6(128)
        self.Mixed_6c = mixed_6(160)
        self.Mixed_6d = mixed_6(160)
        self.Mixed_6e = mixed_6(192)
        self.Mixed_7a = mixed_7a()
        self.Mixed_7b = mixed_7(1280, mean_pool)
        self.Mixed_7c = mixed_7(2048, max_pool)

    def forward(self, x):
        """[N, 3, H, W] in [0, 1] -> [N, 2048]"""
        x = 2 * F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False) - 1
        x = halving_pool(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = halving_pool(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean((2, 3))


def random_tensor(name, shape):
    """float32. Weights of convolutions keep the variance of a map; those of norms are near the usual."""
    stream = 0xCBF29CE484222325  # FNV-1a of the name
    for byte in name.encode():
        stream = (stream ^ byte) * 0x100000001B3 & (1 << 64) - 1
    u = philox_np.uniform(SEED, stream, int(np.prod(shape))).astype(np.float64).reshape(shape)
    if len(shape) == 4:
        values = (2 * u - 1) * np.sqrt(6 / np.prod(shape[1:]))
    elif name.endswith(("bn.weight", "running_var")):
        values = 0.5 + u
    else:
        values = 0.4 * u - 0.2
    return values.astype(np.float32)


def random_weights(network):
    return {name: random_tensor(name, tuple(value.shape)) for name, value in network.state_dict().items()
            if not name.endswith("num_batches_tracked")}


def random_picture(index, height, width, channels):
    """[H, W, C], bytes"""
    return (philox_np.uniform(SEED, index, height * width * channels) * 256).astype(np.uint8).reshape(
        height, width, channels)


def as_input(picture):
    """[1, 3, H, W] in [0, 1], float64"""
    image = torch.from_numpy(picture.astype(np.float64) / 255).permute(2, 0, 1)[None]
    return image.expand(1, 3, *image.shape[2:]).contiguous()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", metavar="FILE")
    parser.add_argument("--weights", metavar="FILE")
    parser.add_argument("--time", metavar="N", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    network = Inception().eval()
    weights = random_weights(network)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()}, strict=False)
    if args.weights:
        safetensors_np.save(args.weights, weights)
    with torch.no_grad():
        if args.time:
            pictures = torch.rand(args.time, 3, 32, 32)
            for _ in range(3):
                start = time.perf_counter()
                network(pictures)
                print(f"{args.time / (time.perf_counter() - start):.2f} pictures/s")
        if args.golden:
            network = network.double()
            golden = {}
            for index, size in enumerate(PICTURES):
                features = network(as_input(random_picture(index, *size)))
                golden["features.%dx%dx%d" % size] = features.numpy().astype(np.float32)
            about = "features of random pictures by random weights; made by bench/pytorch/inception.py"
            safetensors_np.save(args.golden, golden, {"about": about})


if __name__ == "__main__":
    main()
