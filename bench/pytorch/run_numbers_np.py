"""The random numbers of a training of ddpm in numpy: the initial weights, which pictures a step takes,
their time steps and their noise. ddpm/engine/streams.h lists the streams, and a run has one seed.
"""

import numpy as np

import philox_np
from philox_np import mix_seed

# ddpm/engine/streams.h
_INITIAL_WEIGHTS, _LEVELS, _NOISE, _PICTURE_ORDER = 1, 2, 3, 4
# ddpm/data/batch_sampler.cpp
_ORDER_STREAM = 0x6F72646572


def _hash_of_path(path):
    """FNV-1a, as in ddpm/nn/module.cpp"""
    value = 0xCBF29CE484222325
    for byte in path.encode():
        value = ((value ^ byte) * 0x100000001B3) & ((1 << 64) - 1)
    return value


def initial_weight(run_seed, path, shape, fan_in):
    """The initial weight or bias of this name in a state dict: uniform within 1 / sqrt(fan_in). `shape`
    and the result have PyTorch's order of axes."""
    # The numbers are drawn in the order of ddpm's axes: [kh, kw, in, out], [in, out].
    axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[len(shape)]
    numbers = philox_np.uniform(mix_seed(run_seed, _INITIAL_WEIGHTS), _hash_of_path(path), int(np.prod(shape)))
    values = ((2.0 * numbers.astype(np.float64) - 1.0) / np.sqrt(fan_in)).astype(np.float32)
    return np.ascontiguousarray(values.reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes)))


class PictureOrder:
    """The pictures of each step: one endless sequence of permutations of all pictures."""

    def __init__(self, run_seed, pictures, batch):
        self.seed = mix_seed(mix_seed(run_seed, _PICTURE_ORDER), _ORDER_STREAM)
        self.pictures, self.batch, self.epochs = pictures, batch, {}

    def _permutation(self, epoch):
        if epoch not in self.epochs:
            places = np.arange(1, self.pictures)
            partners = philox_np.below(self.seed, epoch, places + 1, places)
            order = np.arange(self.pictures)
            for place in range(self.pictures - 1, 0, -1):
                partner = partners[place - 1]
                order[[place, partner]] = order[[partner, place]]
            self.epochs[epoch] = order
        return self.epochs[epoch]

    def at(self, step):
        """[batch] indices"""
        places = step * self.batch + np.arange(self.batch)
        return np.array([self._permutation(place // self.pictures)[place % self.pictures] for place in places])


def time_steps(run_seed, step, batch, timesteps):
    """[batch], uniform in 0 ... timesteps - 1"""
    places = step * batch + np.arange(batch)
    return philox_np.below(mix_seed(run_seed, _LEVELS), 0, np.full(batch, timesteps), places)


def noise(run_seed, step, batch, height, width, channels):
    """[batch, C, H, W]"""
    seed, size = mix_seed(run_seed, _NOISE), height * width * channels
    images = [philox_np.normal(mix_seed(seed, step * batch + n), 0, size) for n in range(batch)]
    return np.ascontiguousarray(np.stack(images).reshape(batch, height, width, channels).transpose(0, 3, 1, 2))
