#!/usr/bin/python3
"""Trains with `ddpm train --recipe tutorial` and with PyTorch, and compares the two:

    train_tutorial.py losses --data MNIST --steps 100       # same weights, pictures, time steps and noise
    train_tutorial.py held-out --data MNIST --steps 500     # each with random numbers of its own

MNIST is a folder with train-images-idx3-ubyte or the same with .gz. The last --held-out pictures are
kept from both trainings.

`losses` begins with the run's own initial weights and gives PyTorch the run's pictures, time steps and
noise. It compares the loss of each step with metrics.jsonl, prints the largest relative difference, and
fails if that is above 1e-3. With --itself PyTorch trains a second network in its other memory format, which
rounds differently, and the difference between the two is printed too. A training in which such differences
grow fast tells nothing about the programs after some steps.

`held-out` trains once for each seed on either side. PyTorch initializes its layers as it does by default,
shuffles the pictures and draws time steps and noise by itself. Then PyTorch measures the loss of all
networks on the pictures held out, each with the same time step and noise: of the weights after the last
step, and of their moving average. It fails if the mean over the seeds differs by more than 4 %.
"""

import argparse
import gzip
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile

import numpy as np

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
# The recipe, as far as PyTorch's side here depends on it.
RECIPE = {"network": "tutorial", "schedule": "cosine", "objective": "eps", "loss": "mse", "weighting": "none",
          "time_sampling": "auto", "low_discrepancy": False, "pairing": "none", "offset_noise": 0,
          "input_perturbation": 0, "learned_variance": False, "zero_snr": False, "self_condition": False,
          "dropout": 0, "augment": 0, "flip": False, "classes": False, "optimizer": "adam", "beta1": 0,
          "beta2": 0, "adam_epsilon": 1e-8, "lr_schedule": "constant", "micro_batch": 0,
          "weight_standardization_eps": 0, "heads": 4, "dim_head": 32, "init_dim": 0,
          "attention_levels": [], "budget": "none"}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("losses", "held-out"))
    parser.add_argument("--data", required=True, metavar="MNIST")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", default="0,1,2", help="of held-out; losses takes the first")
    parser.add_argument("--dim", default="64")
    parser.add_argument("--dim-mults", default="1,2,4,8")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=32, help="the digits get a black border up to this size")
    parser.add_argument("--held-out", type=int, default=1000, metavar="N")
    parser.add_argument("--itself", action="store_true", help="also compare PyTorch with itself")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ddpm", default=os.path.join(ROOT, "build/release/ddpm"))
    return parser.parse_args()


ARGS = arguments()
os.environ["OMP_NUM_THREADS"] = str(ARGS.threads)  # read once, when torch is loaded

import torch
import torch.nn.functional as F

import run_numbers_np
import safetensors_np
from unet import DiffusionUnet


def read_digits(folder, size):
    """[N, 1, size, size] bytes"""
    path = os.path.join(folder, "train-images-idx3-ubyte")
    with open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz") as file:
        data = file.read()
    magic, count, height, width = struct.unpack(">4I", data[:16])
    if magic != 0x803:
        sys.exit(f"{path} is not an IDX file of pictures")
    if size < max(height, width) or (size - height) % 2 or (size - width) % 2:
        sys.exit(f"--size {size} does not give pictures of {height}x{width} an even border")
    digits = np.frombuffer(data, np.uint8, offset=16).reshape(count, 1, height, width)
    rows, columns = (size - height) // 2, (size - width) // 2
    return np.pad(digits, ((0, 0), (0, 0), (rows, rows), (columns, columns)))


def write_digits(path, digits):
    count, _, height, width = digits.shape
    with open(path, "wb") as file:
        file.write(struct.pack(">4I", 0x803, count, height, width) + digits.tobytes())


def images_of(digits):
    """Bytes to [-1, 1]"""
    return torch.from_numpy(digits.astype(np.float32) / np.float32(127.5) - np.float32(1))


def train_ddpm(folder, digits, seed, steps):
    """(the options of the run, its losses, the weights after the last step, their average)"""
    pictures = os.path.join(folder, "train-images-idx3-ubyte")
    write_digits(pictures, digits)
    run = os.path.join(folder, f"run-{seed}")
    done = subprocess.run(
        [ARGS.ddpm, "train", "--recipe", "tutorial", "--data", "mnist:" + pictures, "--out", run, "--size",
         str(ARGS.size), "--channels", "1", "--dim", ARGS.dim, "--dim-mults", ARGS.dim_mults, "--batch",
         str(ARGS.batch), "--steps", str(steps), "--seed", str(seed), "--threads", str(ARGS.threads),
         "--sample-every", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"ddpm train: exit status {done.returncode}\n{done.stderr}")
    with open(os.path.join(run, "config.json")) as file:
        config = json.load(file)
    for name, value in RECIPE.items():
        if config[name] != value:
            sys.exit(f"the recipe has {name} = {config[name]}, but PyTorch's side here is for {value}")
    with open(os.path.join(run, "metrics.jsonl")) as file:
        losses = [json.loads(line)["loss"] for line in file]
    state, _ = safetensors_np.load(os.path.join(run, f"checkpoints/step-{steps:08}.safetensors"))
    part = lambda prefix: {name[len(prefix):]: values for name, values in state.items() if name.startswith(prefix)}
    return config, losses, part("model."), part("ema.")


def alpha_bars(timesteps):
    """Of the cosine schedule (Nichol & Dhariwal 2021), in double"""
    times = np.arange(timesteps + 1) / timesteps
    f = np.cos((times + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - f[1:] / f[:-1], 0.999))


class Process:
    def __init__(self, timesteps):
        bars = alpha_bars(timesteps)
        self.timesteps = timesteps
        self.signal, self.noise = (torch.from_numpy(np.sqrt(a).astype(np.float32)) for a in (bars, 1 - bars))

    def losses(self, net, images, t, noise):
        """[N]: the mean square error of each image"""
        mix = lambda factors: factors[t][:, None, None, None]
        output = net(mix(self.signal) * images + mix(self.noise) * noise, t.float())
        return F.mse_loss(output, noise, reduction="none").mean(dim=(1, 2, 3))


def make_net(config):
    return DiffusionUnet(config["dim"], dim_mults=config["dim_mults"], channels=1, groups=config["groups"])


def take_initial_weights(net, seed):
    """Gives the network the weights with which a run of ddpm begins."""
    with torch.no_grad():
        for path, module in net.named_modules():
            if not isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
                continue
            fan_in = module.weight[0].numel()
            for name, parameter in module.named_parameters(recurse=False):
                parameter.copy_(torch.from_numpy(run_numbers_np.initial_weight(
                    seed, f"{path}.{name}", parameter.shape, fan_in)))


class Training:
    """PyTorch's side of the recipe: Adam with a warm-up, clipping, a moving average."""

    def __init__(self, net, config):
        self.net, self.config, self.steps = net, config, 0
        self.optimizer = torch.optim.Adam(net.parameters(), lr=config["lr"])
        warmup = max(config["lr_warmup"], 1)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: min(1.0, (step + 1) / warmup))
        self.average = {name: value.clone() for name, value in net.state_dict().items()}

    def step(self, loss):
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.config["clip_norm"])
        self.optimizer.step()
        self.schedule.step()
        self.steps += 1
        decay = min(self.config["ema_decay"], (1 + self.steps) / (10 + self.steps))
        for name, value in self.net.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)


def largest(losses, wanted):
    """(the largest relative difference, its step)"""
    return max((abs(loss - other) / other, step) for step, (loss, other) in enumerate(zip(losses, wanted), 1))


def compare_losses(digits, seed):
    with tempfile.TemporaryDirectory() as folder:
        config, wanted, _, _ = train_ddpm(folder, digits, seed, ARGS.steps)
    images, size, process = images_of(digits), digits.shape[1:], Process(config["timesteps"])
    formats = [torch.contiguous_format, torch.channels_last][:2 if ARGS.itself else 1]
    trainings = []
    for memory_format in formats:
        net = make_net(config)
        take_initial_weights(net, seed)
        trainings.append(Training(net.to(memory_format=memory_format), config))
    batch, losses = config["batch"], [[] for _ in formats]
    order = run_numbers_np.PictureOrder(seed, len(digits), batch)
    for step in range(ARGS.steps):
        t = torch.from_numpy(run_numbers_np.time_steps(seed, step, batch, process.timesteps))
        noise = torch.from_numpy(run_numbers_np.noise(seed, step, batch, size[1], size[2], size[0]))
        for training, memory_format, own in zip(trainings, formats, losses):
            inputs = [x.contiguous(memory_format=memory_format) for x in (images[order.at(step)], noise)]
            loss = process.losses(training.net, inputs[0], t, inputs[1]).mean()
            training.step(loss)
            own.append(loss.item())
        if step == 0 or (step + 1) % 10 == 0:
            own = losses[0][-1]
            print(f"step {step + 1}: ddpm {wanted[step]:.7f}, PyTorch {own:.7f}, "
                  f"relative difference {abs(own - wanted[step]) / wanted[step]:.1e}", flush=True)
    worst, at = largest(losses[0], wanted)
    print(f"{ARGS.steps} losses; the largest relative difference is {worst:.1e}, in step {at}")
    if ARGS.itself:
        print("PyTorch against itself in its other memory format: {:.1e}, in step {}".format(
            *largest(losses[1], losses[0])))
    return worst <= 1e-3


def train_pytorch(config, images, seed, steps):
    """(the weights after the last step, their average), with PyTorch's own random numbers"""
    torch.manual_seed(seed)
    net, process = make_net(config), Process(config["timesteps"])
    training, batch, order = Training(net, config), config["batch"], torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        while len(order) < batch:
            order = torch.cat((order, torch.randperm(len(images))))
        chosen, order = images[order[:batch]], order[batch:]
        t = torch.randint(process.timesteps, (batch,))
        training.step(process.losses(net, chosen, t, torch.randn_like(chosen)).mean())
    return net.state_dict(), training.average


def held_out_loss(config, weights, images):
    """The mean loss. The time steps are spread evenly, and the noise is the same in each call."""
    net, process = make_net(config).eval(), Process(config["timesteps"])
    net.load_state_dict({name: torch.as_tensor(np.array(weights[name])) for name in net.state_dict()})
    t = (torch.arange(len(images)) * process.timesteps + process.timesteps // 2) // len(images)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1711))
    with torch.no_grad():
        parts = [process.losses(net, *part) for part in zip(images.split(100), t.split(100), noise.split(100))]
    return torch.cat(parts).double().mean().item()


def compare_held_out(digits, held_out, seeds):
    images, others = images_of(digits), images_of(held_out)
    rows = []
    print("| seed | last weights: ddpm | PyTorch | average: ddpm | PyTorch |\n| --- | ---: | ---: | ---: | ---: |")
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            config, _, *ours = train_ddpm(folder, digits, seed, ARGS.steps)
        theirs = train_pytorch(config, images, seed, ARGS.steps)
        rows.append([held_out_loss(config, weights, others) for pair in zip(ours, theirs) for weights in pair])
        print(f"| {seed} | " + " | ".join(f"{loss:.5f}" for loss in rows[-1]) + " |", flush=True)
    means = [statistics.mean(column) for column in zip(*rows)]
    print("| mean | " + " | ".join(f"{loss:.5f}" for loss in means) + " |")
    ratios = [means[0] / means[1] - 1, means[2] / means[3] - 1]
    print(f"\n{ARGS.steps} steps, {len(others)} pictures held out; ddpm's loss relative to PyTorch's: "
          f"last weights {ratios[0]:+.1%}, average {ratios[1]:+.1%}")
    return max(abs(ratio) for ratio in ratios) <= 0.04


def main():
    torch.set_num_threads(ARGS.threads)
    digits = read_digits(ARGS.data, ARGS.size)
    training, held_out = digits[:-ARGS.held_out], digits[-ARGS.held_out:]
    seeds = [int(seed) for seed in ARGS.seeds.split(",")]
    if ARGS.mode == "losses":
        return compare_losses(training, seeds[0])
    return compare_held_out(training, held_out, seeds)


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
