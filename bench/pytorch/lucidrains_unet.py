"""The network of lucidrains/denoising-diffusion-pytorch 2.3.1 in PyTorch, with that program's
state-dict names, for the benchmarks.

It is our own text, written so that PyTorch runs it fast in both memory formats. In PyTorch 1.13,
F.normalize over the channels is ten times slower than RmsNorm's formula if memory is contiguous.
A block multiplies its scale into the gain of its norm, so that a map is passed over once less.
check_unet.py compares it with tests/fixtures.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from unet import downsample, split_heads, upsample


class RmsNorm(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, channels, 1, 1))

    def gain(self):
        return self.g * self.g.shape[1]**0.5

    @staticmethod
    def normalize(x):  # to length 1
        return x * x.square().sum(dim=1, keepdim=True).clamp_min(1e-24).rsqrt()

    def forward(self, x):
        return self.normalize(x) * self.gain()


class TimeEmbedding(nn.Module):
    """Sines and cosines of t: [N] -> [N, dim]"""

    def __init__(self, dim, theta):
        super().__init__()
        self.half, self.theta = dim // 2, theta

    def forward(self, t):
        t = t if t.is_floating_point() else t.float()
        k = torch.arange(self.half, dtype=t.dtype, device=t.device)
        angles = t[:, None] * torch.exp(k * (-math.log(self.theta) / (self.half - 1)))
        return torch.cat((angles.sin(), angles.cos()), dim=-1)


class FourierEmbedding(nn.Module):
    """t and the sines and cosines of frequencies that are learnt or fixed: [N] -> [N, dim + 1]"""

    def __init__(self, dim, learnt):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(dim // 2), requires_grad=learnt)

    def forward(self, t):
        t = t[:, None].to(self.weights.dtype)
        angles = t * self.weights * (2 * math.pi)
        return torch.cat((t, angles.sin(), angles.cos()), dim=-1)


class Block(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.proj = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm = RmsNorm(out_channels)

    def forward(self, x, scale_shift=None):
        x = self.proj(x)
        if scale_shift is None:
            return F.silu(self.norm(x))
        scale, shift = scale_shift
        gain = self.norm.gain() * (scale + 1)
        return F.silu(torch.addcmul(shift, self.norm.normalize(x), gain))


class ResnetBlock(nn.Module):
    def __init__(self, in_channels, out_channels, time_dim, dropout):
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(time_dim, 2 * out_channels))
        self.block1 = Block(in_channels, out_channels)
        self.block2 = Block(out_channels, out_channels)
        self.dropout = nn.Dropout(dropout)
        same = in_channels == out_channels
        self.res_conv = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x, t):
        scale_shift = self.mlp(t)[:, :, None, None].chunk(2, dim=1)
        h = self.dropout(self.block1(x, scale_shift))
        return self.block2(h) + self.res_conv(x)


def prepend(memory, x):  # [heads, d, n], [N, heads, d, L] -> [N, heads, d, n + L]
    return torch.cat((memory.expand(len(x), -1, -1, -1), x), dim=-1)


class Attention(nn.Module):
    def __init__(self, channels, heads, dim_head, mem_kv):
        super().__init__()
        self.heads, self.scale = heads, dim_head**-0.5
        self.mem_kv = nn.Parameter(torch.randn(2, heads, mem_kv, dim_head))
        self.norm = RmsNorm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * heads * dim_head, 1, bias=False)
        self.to_out = nn.Conv2d(heads * dim_head, channels, 1)

    def forward(self, x):
        n, _, h, w = x.shape
        q, k, v = split_heads(self.to_qkv(self.norm(x)), self.heads)
        k, v = (prepend(m, part) for m, part in zip(self.mem_kv.transpose(-2, -1), (k, v)))
        attention = ((q * self.scale).transpose(-2, -1) @ k).softmax(dim=-1)  # [N, heads, i, j]
        output = v @ attention.transpose(-2, -1)  # [N, heads, d, i]
        return self.to_out(output.reshape(n, -1, h, w)) + x


class LinearAttention(nn.Module):
    def __init__(self, channels, heads, dim_head, mem_kv):
        super().__init__()
        self.heads, self.scale = heads, dim_head**-0.5
        self.mem_kv = nn.Parameter(torch.randn(2, heads, dim_head, mem_kv))
        self.norm = RmsNorm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * heads * dim_head, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(heads * dim_head, channels, 1), RmsNorm(channels))

    def forward(self, x):
        n, _, h, w = x.shape
        q, k, v = split_heads(self.to_qkv(self.norm(x)), self.heads)
        k, v = (prepend(m, part) for m, part in zip(self.mem_kv, (k, v)))
        q = q.softmax(dim=-2) * self.scale
        context = k.softmax(dim=-1) @ v.transpose(-2, -1)  # [N, heads, d, e]
        output = context.transpose(-2, -1) @ q  # [N, heads, e, H * W]
        return self.to_out(output.reshape(n, -1, h, w)) + x


class Unet(nn.Module):
    """heads, dim_head, full_attn: a list with one number for each level, or one for all.
    fourier_dim: as many sines and cosines of frequencies that are learnt if fourier_learnt,
    else fixed; 0 for the TimeEmbedding."""

    def __init__(self, dim, init_dim=None, output_dim=None, dim_mults=(1, 2, 4, 8), channels=3,
                 heads=(4,), dim_head=(32,), full_attn=(), mem_kv=4, theta=10_000, fourier_dim=0,
                 fourier_learnt=False, self_condition=False, dropout=0):
        super().__init__()
        init_dim = init_dim or dim
        dims = [init_dim] + [m * dim for m in dim_mults]
        levels, time_dim = len(dim_mults), 4 * dim
        full_attn = list(full_attn) or [False] * (levels - 1) + [True]
        heads, dim_head, full_attn = (list(values) * (levels if len(values) == 1 else 1)
                                      for values in (heads, dim_head, full_attn))
        self.self_condition = self_condition

        def resnet(in_channels, out_channels):
            return ResnetBlock(in_channels, out_channels, time_dim, dropout)

        def attend(width, level, full):
            kind = Attention if full else LinearAttention
            return kind(width, heads[level], dim_head[level], mem_kv)

        def level_of(level, block_in, width, resample):
            return nn.ModuleList([resnet(block_in, width), resnet(block_in, width),
                                  attend(width, level, full_attn[level]), resample])

        def conv(in_channels, out_channels):
            return nn.Conv2d(in_channels, out_channels, 3, padding=1)

        self.init_conv = nn.Conv2d(channels * (2 if self_condition else 1), init_dim, 7, padding=3)
        embedding = (FourierEmbedding(fourier_dim, fourier_learnt) if fourier_dim
                     else TimeEmbedding(dim, theta))
        self.time_mlp = nn.Sequential(
            embedding, nn.Linear(fourier_dim + 1 if fourier_dim else dim, time_dim), nn.GELU(),
            nn.Linear(time_dim, time_dim),
        )
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for level, (a, b) in enumerate(zip(dims[:-1], dims[1:])):
            down = conv(a, b) if level == levels - 1 else downsample(a, b)
            self.downs.append(level_of(level, a, a, down))
        for level, (a, b) in reversed(list(enumerate(zip(dims[:-1], dims[1:])))):
            up = conv(b, a) if level == 0 else upsample(b, a)
            self.ups.append(level_of(level, a + b, b, up))

        self.mid_block1 = resnet(dims[-1], dims[-1])
        self.mid_attn = attend(dims[-1], levels - 1, True)
        self.mid_block2 = resnet(dims[-1], dims[-1])
        self.final_res_block = resnet(2 * init_dim, init_dim)
        self.final_conv = nn.Conv2d(init_dim, output_dim or channels, 1)

    def forward(self, x, t, estimate=None):
        if self.self_condition:
            x = torch.cat((torch.zeros_like(x) if estimate is None else estimate, x), dim=1)
        x = self.init_conv(x)
        first = x
        t = self.time_mlp(t)
        skips = []
        for block1, block2, attention, down in self.downs:
            x = block1(x, t)
            skips.append(x)
            x = attention(block2(x, t))
            skips.append(x)
            x = down(x)
        x = self.mid_block2(self.mid_attn(self.mid_block1(x, t)), t)
        for block1, block2, attention, up in self.ups:
            x = block1(torch.cat((x, skips.pop()), dim=1), t)
            x = block2(torch.cat((x, skips.pop()), dim=1), t)
            x = up(attention(x))
        x = self.final_res_block(torch.cat((x, first), dim=1), t)
        return self.final_conv(x)
