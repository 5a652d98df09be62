"""PNG files and grids of pictures as numpy arrays. Grids are arranged as `ddpm sample` does. Debian's
PyTorch comes without a library for pictures."""

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = {1: 0, 3: 2, 4: 6}  # PNG's colour type by channels


def make_grid(pictures, scale=2, gap=2):
    """[N, H, W, C] bytes -> one picture: a nearly square grid, filled row by row, on white"""
    n, h, w, c = pictures.shape
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    grid = np.full((rows * (h * scale + gap) + gap, columns * (w * scale + gap) + gap, c), 255,
                   np.uint8)
    for k, picture in enumerate(pictures.repeat(scale, axis=1).repeat(scale, axis=2)):
        y, x = (place * (side * scale + gap) + gap
                for place, side in zip(divmod(k, columns), (h, w)))
        grid[y:y + h * scale, x:x + w * scale] = picture
    return grid


def write_png(path, picture):
    """[H, W, C] bytes, C 1, 3 or 4"""
    h, w, c = picture.shape

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(
            ">I", zlib.crc32(name + data))

    rows = np.concatenate((np.zeros((h, 1), np.uint8), picture.reshape(h, w * c)), axis=1)
    with open(path, "wb") as file:
        file.write(_SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, _COLOURS[c], 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b""))


def read_png(path):
    """[H, W, C] bytes of a PNG with eight bits a channel, not interlaced"""
    with open(path, "rb") as file:
        data = file.read()
    assert data.startswith(_SIGNATURE), path
    at, packed = len(_SIGNATURE), b""
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + length]
        if name == b"IHDR":
            w, h, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", body)
        elif name == b"IDAT":
            packed += body
        at += 12 + length
    c = {kind: channels for channels, kind in _COLOURS.items()}[colour]
    assert bits == 8 and not interlaced, path
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(h, 1 + w * c)
    picture = np.zeros((h + 1, w + 1, c), int)  # a row above and a column before of zeros
    for y in range(1, h + 1):
        kind, line = lines[y - 1, 0], lines[y - 1, 1:].reshape(w, c).astype(int)
        up = picture[y - 1]
        for x in range(1, w + 1):
            left, above, corner = picture[y, x - 1], up[x], up[x - 1]
            if kind == 0:
                guess = 0
            elif kind == 1:
                guess = left
            elif kind == 2:
                guess = above
            elif kind == 3:
                guess = (left + above) // 2
            else:
                a, b, d = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
                guess = np.where((a <= b) & (a <= d), left, np.where(b <= d, above, corner))
            picture[y, x] = (line[x - 1] + guess) & 255
    return picture[1:, 1:].astype(np.uint8)
