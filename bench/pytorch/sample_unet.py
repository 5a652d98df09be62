#!/usr/bin/python3
"""Does the same as `ddpm sample`, as an ordinary PyTorch program: loads the weights, draws pictures
with DDIM in one batch, and writes them as a grid. compare_pytorch.py --sampling times the process.

    sample_unet.py model.safetensors --out grid.png --n 16 --steps 50

The noise comes from torch.randn. With --noise ddpm it is that of `ddpm sample --seed`, which gives the
same pictures.
"""

import argparse
import os

import numpy as np


def linear_alpha_bar(steps):
    return np.cumprod(1 - np.minimum(np.linspace(1e-4, 0.02, steps) * 1000 / steps, 0.999)).tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--out", required=True, metavar="FILE.png")
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--timesteps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--noise", choices=("torch", "ddpm"), default="torch")
    parser.add_argument("--format", choices=("contiguous", "channels_last"), default="channels_last")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    threads = parser.parse_known_args()[0].threads
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read once, when torch is loaded

    import torch

    import philox_np
    import pictures_np
    import safetensors_np
    from networks import add_network_options, image_shape_of, network_of

    add_network_options(parser)
    args = parser.parse_args()
    torch.set_num_threads(threads)
    torch.manual_seed(args.seed)
    layout = torch.channels_last if args.format == "channels_last" else torch.contiguous_format

    net = network_of(args)
    tensors, _ = safetensors_np.load(args.model)
    net.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in tensors.items()})
    net = net.eval().to(memory_format=layout)

    _, channels, height, width = image_shape_of(args)
    if args.noise == "ddpm":
        noise = philox_np.initial_noise(args.seed, args.n, height, width, channels)
        x = torch.from_numpy(noise).permute(0, 3, 1, 2)
    else:
        x = torch.randn(args.n, channels, height, width)
    x = x.contiguous(memory_format=layout)

    alpha_bar = linear_alpha_bar(args.timesteps)
    times = np.floor(np.linspace(0, args.timesteps - 1, args.steps) + 0.5).astype(int)
    with torch.no_grad():
        for i in reversed(range(args.steps)):
            a = alpha_bar[times[i]]
            a_previous = alpha_bar[times[i - 1]] if i > 0 else 1.0
            t = torch.full((args.n,), int(times[i]), dtype=torch.float32)
            x0 = ((x - (1 - a)**0.5 * net(x, t)) / a**0.5).clamp(-1, 1)
            noise = (x - a**0.5 * x0) / (1 - a)**0.5
            x = a_previous**0.5 * x0 + (1 - a_previous)**0.5 * noise

    pictures = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    pictures_np.write_png(args.out, pictures_np.make_grid(pictures.permute(0, 2, 3, 1).numpy()))


if __name__ == "__main__":
    main()
