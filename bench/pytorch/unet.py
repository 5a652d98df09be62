"""The tutorial's network in PyTorch, with the tutorial's state-dict names, for the benchmarks.

It is written so that PyTorch runs it as fast as possible: with native operations where the tutorial
writes out the formulas (pixel_unshuffle, softmax without subtracting the maximum first), and for both
memory formats. Its last block takes 2 * init_dim channels. The tutorial's takes 2 * dim, and so fails
if init_dim is not dim. check_unet.py compares it with tests/fixtures.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Residual(nn.Module):
    def __init__(self, func):
        super().__init__()
        self.func = func

    def forward(self, x):
        return x + self.func(x)


class PreGroupNorm(nn.Module):
    def __init__(self, dim, func, groups=1):
        super().__init__()
        self.func = func
        self.group_norm = nn.GroupNorm(groups, dim)

    def forward(self, x):
        return self.func(self.group_norm(x))


def upsample(in_channels, out_channels):
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
    )


def downsample(in_channels, out_channels):
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * in_channels, out_channels, 1))


class SinusoidalPositionEmbedding(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, t):  # [N] -> [N, dim]
        even = torch.arange(self.dim // 2, device=t.device)
        angles = t[:, None] / 10_000 ** (2 * even / self.dim)
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


class WeightStandardizedConv2d(nn.Conv2d):
    def forward(self, x):
        var, mean = torch.var_mean(self.weight, dim=(1, 2, 3), unbiased=False, keepdim=True)
        weight = (self.weight - mean) / torch.sqrt(var)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class Block(nn.Module):
    def __init__(self, in_channels, out_channels, groups):
        super().__init__()
        self.proj = WeightStandardizedConv2d(in_channels, out_channels, 3, padding=1)
        self.norm = nn.GroupNorm(groups, out_channels)

    def forward(self, x, scale_shift=None):
        x = self.norm(self.proj(x))
        if scale_shift is not None:
            scale, shift = scale_shift
            x = x * (scale + 1) + shift
        return F.silu(x)


class ResnetBlock(nn.Module):
    def __init__(self, in_channels, out_channels, time_dim, groups):
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(time_dim, 2 * out_channels))
        self.block1 = Block(in_channels, out_channels, groups)
        self.block2 = Block(out_channels, out_channels, groups)
        same = in_channels == out_channels
        self.res_conv = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x, t):
        scale_shift = self.mlp(t)[:, :, None, None].chunk(2, dim=1)
        return self.block2(self.block1(x, scale_shift)) + self.res_conv(x)


def split_heads(qkv, heads):  # [N, 3 * heads * d, H, W] -> three of [N, heads, d, H * W]
    n, channels, h, w = qkv.shape
    return (part.reshape(n, heads, -1, h * w) for part in qkv.chunk(3, dim=1))


class Attention(nn.Module):
    def __init__(self, channels, heads=4, dim_head=32):
        super().__init__()
        self.heads, self.scale = heads, dim_head**-0.5
        self.input_to_qkv = nn.Conv2d(channels, 3 * heads * dim_head, 1, bias=False)
        self.to_output = nn.Conv2d(heads * dim_head, channels, 1)

    def forward(self, x):
        n, _, h, w = x.shape
        q, k, v = split_heads(self.input_to_qkv(x), self.heads)
        attention = ((q * self.scale).transpose(-2, -1) @ k).softmax(dim=-1)  # [N, heads, i, j]
        output = v @ attention.transpose(-2, -1)  # [N, heads, d, i]
        return self.to_output(output.reshape(n, -1, h, w))


class LinearAttention(nn.Module):
    def __init__(self, channels, heads=4, dim_head=32):
        super().__init__()
        self.heads, self.scale = heads, dim_head**-0.5
        self.input_to_qkv = nn.Conv2d(channels, 3 * heads * dim_head, 1, bias=False)
        self.to_output = nn.Sequential(
            nn.Conv2d(heads * dim_head, channels, 1), nn.GroupNorm(1, channels)
        )

    def forward(self, x):
        n, _, h, w = x.shape
        q, k, v = split_heads(self.input_to_qkv(x), self.heads)
        q = q.softmax(dim=-2) * self.scale
        k = k.softmax(dim=-1)
        context = k @ v.transpose(-2, -1)  # [N, heads, d, e]
        output = context.transpose(-2, -1) @ q  # [N, heads, e, H * W]
        return self.to_output(output.reshape(n, -1, h, w))


class DiffusionUnet(nn.Module):
    def __init__(self, dim, init_dim=None, output_dim=None, dim_mults=(1, 2, 4, 8), channels=3,
                 groups=4):
        super().__init__()
        init_dim = init_dim or dim
        dims = [init_dim] + [m * dim for m in dim_mults]
        pairs = list(zip(dims[:-1], dims[1:]))
        time_dim = 4 * dim

        def resnet(in_channels, out_channels):
            return ResnetBlock(in_channels, out_channels, time_dim, groups)

        def attend(width, kind=LinearAttention):
            return Residual(PreGroupNorm(width, kind(width)))

        def conv(in_channels, out_channels):
            return nn.Conv2d(in_channels, out_channels, 3, padding=1)

        self.init_conv = nn.Conv2d(channels, init_dim, 1)
        self.time_mlp = nn.Sequential(
            SinusoidalPositionEmbedding(dim), nn.Linear(dim, time_dim), nn.GELU(),
            nn.Linear(time_dim, time_dim),
        )
        self.down_layers = nn.ModuleList()
        for level, (a, b) in enumerate(pairs):
            last = level == len(pairs) - 1
            down = conv(a, b) if last else downsample(a, b)
            self.down_layers.append(nn.ModuleList([resnet(a, a), resnet(a, a), attend(a), down]))

        self.mid_block1 = resnet(dims[-1], dims[-1])
        self.mid_attention = attend(dims[-1], Attention)
        self.mid_block2 = resnet(dims[-1], dims[-1])

        self.up_layers = nn.ModuleList()
        for level, (a, b) in enumerate(reversed(pairs)):
            last = level == len(pairs) - 1
            up = conv(b, a) if last else upsample(b, a)
            self.up_layers.append(
                nn.ModuleList([resnet(a + b, b), resnet(a + b, b), attend(b), up]))

        self.final_res_block = resnet(2 * init_dim, dim)
        self.final_conv = nn.Conv2d(dim, output_dim or channels, 1)

    def forward(self, x, t):
        x = self.init_conv(x)
        first = x
        t = self.time_mlp(t)
        skips = []
        for block1, block2, attention, down in self.down_layers:
            x = block1(x, t)
            skips.append(x)
            x = attention(block2(x, t))
            skips.append(x)
            x = down(x)
        x = self.mid_block2(self.mid_attention(self.mid_block1(x, t)), t)
        for block1, block2, attention, up in self.up_layers:
            x = block1(torch.cat((x, skips.pop()), dim=1), t)
            x = block2(torch.cat((x, skips.pop()), dim=1), t)
            x = up(attention(x))
        x = self.final_res_block(torch.cat((x, first), dim=1), t)
        return self.final_conv(x)
