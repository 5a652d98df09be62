#!/usr/bin/python3
"""Times PyTorch on a network of either family: a forward pass (no_grad), and one training step
(forward, MSE, backward, clipping, Adam) with and without an EMA of the weights, in both memory formats.
Takes minima over repetitions after a warm-up, and prints one line of JSON.

Adam runs in its foreach and its plain form, and the faster form is taken. Its other forms in PyTorch
(fused, capturable) are for GPUs.
"""

import argparse
import json
import os
import resource
import sys
import time

FORMATS = ("contiguous", "channels_last")


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--format", choices=FORMATS, action="append",
                        help="one memory format (default: both)")
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement, at least")
    parser.add_argument("--repetitions", type=int, default=3, help="of each measurement, at least")
    parser.add_argument("--only", choices=("forward", "train", "train_ema"), action="append",
                        help="one measurement (default: all), for its peak memory")
    parser.add_argument("--adam", choices=("plain", "foreach"), action="append",
                        help="one form (default: both); plain needs less memory")
    parser.add_argument("--json", action="store_true", help="always on; accepted because `ddpm bench` has it")
    return parser


def minimum(run, seconds, least, warm_up=1):
    """The minima of wall time and of processor time, in seconds. Processor time is at most wall time
    times the number of threads. If it is much less, other programs used the cores."""
    for _ in range(warm_up):
        run()
    walls, processors, begin = [], [], time.perf_counter()
    while len(walls) < least or time.perf_counter() - begin < seconds:
        start = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - start[0])
        processors.append(time.process_time() - start[1])
    return min(walls), min(processors)


def main():
    # OpenMP reads its thread count once, when torch is loaded, so it is needed before that.
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--threads", type=int, default=os.cpu_count())
    os.environ["OMP_NUM_THREADS"] = str(early.parse_known_args()[0].threads)

    import torch
    import torch.nn.functional as F
    from networks import add_network_options, image_shape_of, network_of

    parser = options()
    add_network_options(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    def clip(parameters, bound=1.0):
        # torch.nn.utils.clip_grad_norm_ in the fewest calls that this version has
        grads = [p.grad for p in parameters]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        torch._foreach_mul_(grads, float(torch.clamp(bound / (norm + 1e-6), max=1.0)))

    def measure(name):
        memory_format = torch.channels_last if name == "channels_last" else torch.contiguous_format
        torch.manual_seed(0)
        net = network_of(args).to(memory_format=memory_format)
        shape = image_shape_of(args)
        x = torch.randn(shape).contiguous(memory_format=memory_format)
        t = torch.randint(0, 1000, shape[:1])
        parameters = list(net.parameters())
        result = {"parameters": sum(p.numel() for p in parameters)}
        wanted = args.only or ("forward", "train", "train_ema")

        if "forward" in wanted:
            def forward():
                with torch.no_grad():
                    net(x, t)
            net.eval()
            result["forward_s"], result["forward_cpu_s"] = minimum(
                forward, args.seconds, args.repetitions)
        if "train" not in wanted and "train_ema" not in wanted:
            return result

        net.train()
        with torch.no_grad():
            noise = torch.randn_like(net(x, t))

        def train_step(optimizer, ema):
            F.mse_loss(net(x, t), noise).backward()
            clip(parameters)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if ema:
                with torch.no_grad():
                    torch._foreach_mul_(ema, 0.999)
                    torch._foreach_add_(ema, parameters, alpha=0.001)

        for kind in ("train", "train_ema"):
            if kind not in wanted:
                continue
            ema = [p.detach().clone() for p in parameters] if kind == "train_ema" else []
            times = {}
            for foreach in [form == "foreach" for form in args.adam or ("plain", "foreach")]:
                optimizer = torch.optim.Adam(parameters, lr=1e-6, foreach=foreach)
                times[foreach] = minimum(lambda: train_step(optimizer, ema), args.seconds / 2,
                                         args.repetitions)
                del optimizer
            key = "train_step" if kind == "train" else "train_step_ema"
            result[key + "_s"], result[key + "_cpu_s"] = min(times.values())
        return result

    formats = args.format or list(FORMATS)
    results = {name: measure(name) for name in formats}
    line = {"torch": torch.__version__, "threads": torch.get_num_threads(), "formats": results,
            "parameters": results[formats[0]]["parameters"]}
    for key in ("forward_s", "train_step_s", "train_step_ema_s"):
        if key in results[formats[0]]:
            best = min(formats, key=lambda name: results[name][key])
            line[key] = results[best][key]
            line[key[:-2] + "_format"] = best
    line["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps(line))


if __name__ == "__main__":
    sys.exit(main())
