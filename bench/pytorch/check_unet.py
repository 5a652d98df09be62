#!/usr/bin/python3
"""Compares unet.py and lucidrains_unet.py with the golden numbers of tests/fixtures: unet_*.safetensors
and lucidrains_*.safetensors.

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

import lucidrains_unet
import safetensors_np
import unet

FIXTURES = os.path.join(os.path.dirname(__file__), "../../tests/fixtures")


def relative_l2(got, want):
    got, want = got.double(), want.double()
    return float((got - want).norm() / want.norm())


def tutorial(config):
    return unet.DiffusionUnet(config["dim"], config.get("init_dim"), config.get("output_dim"),
                              config["dim_mults"], config["channels"], config["resnet_block_groups"])


def lucidrains(config):
    def listed(name, default):
        value = config.get(name, default)
        return value if isinstance(value, list) else [value]

    learnt, random = (config.get(name, False)
                      for name in ("learned_sinusoidal_cond", "random_fourier_features"))
    channels = config.get("channels", 3)
    learned_variance = config.get("learned_variance", False)
    return lucidrains_unet.Unet(
        config["dim"], config.get("init_dim"),
        config.get("out_dim", channels * (2 if learned_variance else 1)), config["dim_mults"],
        channels, listed("attn_heads", 4), listed("attn_dim_head", 32),
        config.get("full_attn", ()), theta=config.get("sinusoidal_pos_emb_theta", 10_000),
        fourier_dim=config["learned_sinusoidal_dim"] if learnt or random else 0,
        fourier_learnt=learnt and not random, self_condition=config.get("self_condition", False))


def check(path, memory_format):
    arrays, metadata = safetensors_np.load(path)
    tensors = {name: torch.tensor(values) for name, values in arrays.items()}
    config = json.loads(metadata["config"])
    net = lucidrains(config["kwargs"]) if "kwargs" in config else tutorial(config)
    prefix = "param."
    net.load_state_dict({k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)})
    net = net.to(memory_format=memory_format)
    inputs = {name: tensors[name].to(memory_format=memory_format).requires_grad_()
              for name in ("in.x", "in.x_self_cond") if name in tensors}
    x, *estimate = inputs.values()
    out = net(x, tensors["in.t"], *estimate)
    errors = {"out": relative_l2(out, tensors["out"])}
    if "out_no_self_cond" in tensors:
        errors["out_no_self_cond"] = relative_l2(net(x, tensors["in.t"]), tensors["out_no_self_cond"])
    vanishing, vanished = set(), True
    if "grad_out" in tensors:
        (out * tensors["grad_out"]).sum().backward()
        vanishing = {name + ".proj.bias" for name, block in net.named_modules()
                     if isinstance(block, unet.Block)
                     and block.norm.num_groups == block.norm.num_channels}
        largest = max(float(p.grad.norm()) for p in net.parameters())
        vanished = all(float(p.grad.norm()) <= 1e-6 * largest
                       for name, p in net.named_parameters() if name in vanishing)
        for name, tensor in inputs.items():
            errors["grad_" + name] = relative_l2(tensor.grad, tensors["grad_" + name])
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
    paths = [path for family in ("unet", "lucidrains")
             for path in sorted(glob.glob(os.path.join(FIXTURES, family + "_*.safetensors")))]
    good = [check(path, memory_format) for path in paths
            for memory_format in (torch.contiguous_format, torch.channels_last)]
    sys.exit(0 if good and all(good) else 1)
