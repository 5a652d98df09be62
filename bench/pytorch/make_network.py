#!/usr/bin/python3
"""Makes a random network of any shape and what PyTorch computes with it, to compare ddpm with:

    make_network.py DIR --dim 20 --dim-mults 1,3 --channels 4 --size 10x6 --batch 2
    ddpm forward DIR/model.safetensors --in DIR/in.safetensors --out DIR/got.safetensors
    compare.py DIR/got.safetensors DIR/out.safetensors

It writes the files model (the bare state dict), in (x, t and, with --self-condition, x_self_cond), out
and, with --grads, grads (grad_out, grad_in.x and grad.<parameter> of sum(out * grad_out)). With --double, PyTorch computes in float64, so
that the comparison shows only the error of ddpm.
"""

import argparse
import os

import torch

import safetensors_np
from networks import add_network_options, image_shape_of, network_of


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR")
    add_network_options(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grads", action="store_true")
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--int-t", action="store_true", help="write t as int64")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    net = network_of(args).eval()
    with torch.no_grad():  # away from the initial ones and zeros, so that every parameter matters
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter) * parameter.abs().mean().clamp(0.1))
    shape = image_shape_of(args)
    x = torch.randn(shape)
    t = torch.randint(0, 1000, shape[:1])
    estimate = torch.randn(shape) if args.self_condition else None

    os.makedirs(args.folder, exist_ok=True)

    def save(name, tensors):
        arrays = {key: value.detach().numpy() for key, value in tensors.items()}
        safetensors_np.save(os.path.join(args.folder, name + ".safetensors"), arrays)

    save("model", net.state_dict())
    given = {"x": x, "t": t if args.int_t else t.float()}
    save("in", given if estimate is None else {**given, "x_self_cond": estimate})
    if args.double:
        net, x, t = net.double(), x.double(), t.double()
    x.requires_grad_()
    t = t.to(x.dtype)
    out = net(x, t) if estimate is None else net(x, t, estimate.to(x.dtype))
    save("out", {"out": out.float()})
    if args.grads:
        grad_out = torch.randn(out.shape)
        (out * grad_out).sum().backward()
        grads = {"grad_out": grad_out, "grad_in.x": x.grad.float()}
        for name, parameter in net.named_parameters():
            grads["grad." + name] = parameter.grad.float()
        save("grads", grads)


if __name__ == "__main__":
    main()
