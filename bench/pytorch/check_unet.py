#!/usr/bin/python3
"""Compares unet.py with the golden numbers of tests/fixtures/unet_*.safetensors.

If a GroupNorm has as many groups as channels, it subtracts the mean of each channel, and with it the
bias of the convolution before it. So the gradient of this bias is 0 in exact arithmetic, and the
golden numbers hold PyTorch's rounding error (unet_learned_variance, width 8 in 8 groups). A relative
error of rounding error means nothing. So these gradients must only be very small compared with the
others. The printed line counts them.
"""

import glob
import json
import os
import sys

import torch

import safetensors_np
from unet import Block, DiffusionUnet

FIXTURES = os.path.join(os.path.dirname(__file__), "../../tests/fixtures")


def relative_l2(got, want):
    got, want = got.double(), want.double()
    return float((got - want).norm() / want.norm())


def check(path, memory_format):
    arrays, metadata = safetensors_np.load(path)
    tensors = {name: torch.tensor(values) for name, values in arrays.items()}
    config = json.loads(metadata["config"])
    net = DiffusionUnet(config["dim"], config.get("init_dim"), config.get("output_dim"),
                        config["dim_mults"], config["channels"], config["resnet_block_groups"])
    prefix = "param."
    net.load_state_dict({k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)})
    net = net.to(memory_format=memory_format)
    x = tensors["in.x"].to(memory_format=memory_format).requires_grad_()
    out = net(x, tensors["in.t"])
    (out * tensors["grad_out"]).sum().backward()
    vanishing = {name + ".proj.bias" for name, block in net.named_modules()
                 if isinstance(block, Block) and block.norm.num_groups == block.norm.num_channels}
    largest = max(float(p.grad.norm()) for p in net.parameters())
    vanished = all(float(p.grad.norm()) <= 1e-6 * largest
                   for name, p in net.named_parameters() if name in vanishing)
    errors = {"out": relative_l2(out, tensors["out"]),
              "grad_in.x": relative_l2(x.grad, tensors["grad_in.x"])}
    for name, parameter in net.named_parameters():
        if "grad." + name in tensors and name not in vanishing:
            errors["grad." + name] = relative_l2(parameter.grad, tensors["grad." + name])
    worst = max(errors, key=errors.get)
    good = errors["out"] <= 1e-5 and errors[worst] <= 5e-5 and vanished
    print(f"{os.path.basename(path)}: out {errors['out']:.1e}, "
          f"worst of {len(errors)} {errors[worst]:.1e} ({worst}), "
          f"{len(vanishing)} vanish{'' if good else '  FAILED'}")
    return good


if __name__ == "__main__":
    paths = sorted(glob.glob(os.path.join(FIXTURES, "unet_*.safetensors")))
    good = [check(path, memory_format) for path in paths
            for memory_format in (torch.contiguous_format, torch.channels_last)]
    sys.exit(0 if good and all(good) else 1)
