"""The random numbers of ddpm/base/philox.h in numpy, so that PyTorch can start from the same noise."""

import numpy as np

_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def _philox4x32(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> _SHIFT) ^ c[1] ^ k[0], p1 & _MASK, (p0 >> _SHIFT) ^ c[3] ^ k[1], p0 & _MASK]
        k = [(k[0] + np.uint64(0x9E3779B9)) & _MASK, (k[1] + np.uint64(0xBB67AE85)) & _MASK]
    return c


def mix_seed(a, b):
    mask = (1 << 64) - 1
    z = (a + 0x9E3779B97F4A7C15 * (b + 1)) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def _blocks(seed, stream, index):
    """[4] arrays of 32 random bits each, for the blocks of this index"""
    words = [np.uint64(word) for word in (stream & 0xFFFFFFFF, stream >> 32)]
    key = [np.uint64(word) for word in (seed & 0xFFFFFFFF, seed >> 32)]
    zeros = np.zeros_like(index)
    return _philox4x32([index & _MASK, index >> _SHIFT, zeros + words[0], zeros + words[1]], key)


def _bits(seed, stream, count):
    """[4][count / 4], rounded up: 32 random bits each"""
    return _blocks(seed, stream, np.arange(-(-count // 4), dtype=np.uint64))


def below(seed, stream, bounds, positions):
    """[N] integers: the one at positions[n] is uniform in 0 ... bounds[n] - 1, bounds[n] < 2^32"""
    high, low, *_ = _blocks(seed, stream, np.asarray(positions, np.uint64))
    bounds = np.asarray(bounds, np.uint64)
    return ((high * bounds + (low * bounds >> _SHIFT)) >> _SHIFT).astype(np.int64)


def uniform(seed, stream, count):
    """[count] numbers in [0, 1) from position 0"""
    bits = np.stack(_bits(seed, stream, count), axis=1).reshape(-1)[:count]
    return ((bits >> np.uint64(8)) * 2.0**-24).astype(np.float32)


def normal(seed, stream, count):
    """[count] standard normal numbers from position 0"""
    bits = _bits(seed, stream, count)
    values = []
    for pair in range(2):
        radius = np.sqrt(-2 * np.log((bits[2 * pair] + 1.0) * 2.0**-32))
        angle = 2 * np.pi * (bits[2 * pair + 1] * 2.0**-32)
        values += [radius * np.cos(angle), radius * np.sin(angle)]
    return np.stack(values, axis=1).reshape(-1)[:count].astype(np.float32)


def initial_noise(seed, count, height, width, channels):
    """[N, H, W, C], what `ddpm sample --seed SEED` starts from"""
    size = height * width * channels
    return np.stack([normal(mix_seed(seed, k), 0, size) for k in range(count)]).reshape(
        count, height, width, channels)
