#!/usr/bin/python3
"""Optimizers and averages in PyTorch and NumPy, in float64, written from the papers:

    optimizers.py --golden tests/peers/optimizers.safetensors   # what the tests compare with

Weights and gradients are random numbers of ddpm/base/philox.h, so that a test can make them again.
The gradient of a weight w in step t is a random number, scaled along every axis, plus w. Tensors
have PyTorch's order of axes.
"""

import argparse

import numpy as np
import torch

import philox_np
import safetensors_np

SEED = 1711
STEPS = 20
# name, shape, role
PARAMETERS = [
    ("first", (6, 2, 3, 3), "outer"),
    ("filter", (8, 6, 3, 3), "inner"),
    ("pointwise", (12, 5, 1, 1), "inner"),
    ("square", (8, 8), "inner"),
    ("tall", (24, 6), "inner"),
    ("bias", (8,), "other"),
]
LIMIT = 9  # the longest axis with a basis in SOAP


def initial(index, shape):
    values = philox_np.normal(SEED, index, int(np.prod(shape)))
    return torch.from_numpy(values.astype(np.float64)).reshape(shape)


def gradient(index, step, weight):
    noise = philox_np.normal(SEED, 1000 * step + index, weight.numel()).astype(np.float64)
    noise = torch.from_numpy(noise).reshape(weight.shape)
    for axis in range(weight.dim()):
        size = [1] * weight.dim()
        size[axis] = -1
        noise = noise / (1 + torch.arange(weight.shape[axis], dtype=torch.float64)).reshape(size)
    return noise + 0.1 * weight


def run(roles):
    """The weights after STEPS steps of roles[role](state, weight, gradient, step)."""
    finals = {}
    for index, (name, shape, role) in enumerate(PARAMETERS):
        weight, state = initial(index, shape), {}
        for step in range(1, STEPS + 1):
            roles[role](state, weight, gradient(index, step, weight), step)
        finals[name] = weight
    return finals


def with_torch(make):
    weights = [initial(i, shape).requires_grad_() for i, (_, shape, _) in enumerate(PARAMETERS)]
    optimizer = make(weights)
    for step in range(1, STEPS + 1):
        for index, weight in enumerate(weights):
            weight.grad = gradient(index, step, weight.detach())
        optimizer.step()
    return {name: w.detach() for (name, _, _), w in zip(PARAMETERS, weights)}


def adam_step(state, weight, grad, step, rate, betas, decay):
    first = state.setdefault("m", torch.zeros_like(weight))
    second = state.setdefault("v", torch.zeros_like(weight))
    first.mul_(betas[0]).add_(grad, alpha=1 - betas[0])
    second.mul_(betas[1]).addcmul_(grad, grad, value=1 - betas[1])
    top = first / (1 - betas[0] ** step)
    weight.mul_(1 - rate * decay).sub_(rate * top / ((second / (1 - betas[1] ** step)).sqrt() + 1e-8))


def muon_step(state, weight, grad, step, rate, momentum, decay):
    total = state.setdefault("momentum", torch.zeros_like(weight))
    total.mul_(momentum).add_(grad)
    x = (grad + momentum * total).reshape(weight.shape[0], -1)
    rows, columns = x.shape
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    weight.mul_(1 - rate * decay).sub_(rate * 0.2 * max(rows, columns) ** 0.5 * x.reshape(weight.shape))


def turn(x, bases, back=False):
    for axis, basis in enumerate(bases):
        if basis is not None:
            x = torch.tensordot(x, basis.T if back else basis, dims=([0], [0]))  # the axis goes last
        else:
            x = x.movedim(0, -1)
    return x


def soap_step(state, weight, grad, step, rate, betas, decay, every):
    g, w = grad, weight
    sides = [n if 1 < n <= LIMIT else None for n in g.shape]
    if not any(sides):
        return adam_step(state, weight, grad, step, rate, betas, decay)
    if step == 1:
        state["m"], state["v"] = torch.zeros_like(g), torch.zeros_like(g)
        state["grams"] = [n and torch.zeros(n, n, dtype=torch.float64) for n in sides]
    else:
        state["m"] = betas[0] * state["m"] + (1 - betas[0]) * g
        turned = turn(g, state["bases"])
        state["v"] = betas[1] * state["v"] + (1 - betas[1]) * turned**2
        top = turn(state["m"], state["bases"]) / (1 - betas[0] ** (step - 1))
        change = top / ((state["v"] / (1 - betas[1] ** (step - 1))).sqrt() + 1e-8)
        w.sub_(rate * turn(change, state["bases"], back=True)).mul_(1 - rate * decay)
    for axis, gram in enumerate(state["grams"]):
        if gram is not None:
            others = [a for a in range(g.dim()) if a != axis]
            gram.mul_(betas[1]).add_((1 - betas[1]) * torch.tensordot(g, g, dims=(others, others)))
    if step == 1:
        state["bases"] = [p if p is None else torch.linalg.eigh(p)[1].flip(1) for p in state["grams"]]
    elif (step - 1) % every == 0:
        for axis, (gram, basis) in enumerate(zip(state["grams"], state["bases"])):
            if gram is None:
                continue
            order = torch.argsort(torch.diag(basis.T @ gram @ basis), descending=True)
            state["v"] = state["v"].index_select(axis, order)
            state["bases"][axis] = torch.linalg.qr(gram @ basis[:, order])[0]


def optimizers():
    adam_w = lambda s, w, g, t: adam_step(s, w, g, t, 0.01, (0.9, 0.95), 0.1)
    adam_b = lambda s, w, g, t: adam_step(s, w, g, t, 0.01, (0.9, 0.95), 0)
    soap_w = lambda s, w, g, t: soap_step(s, w, g, t, 0.01, (0.95, 0.95), 0.1, 4)
    soap_b = lambda s, w, g, t: adam_step(s, w, g, t, 0.01, (0.95, 0.95), 0)
    muon_w = lambda s, w, g, t: muon_step(s, w, g, t, 0.01, 0.95, 0.1)

    def torch_adam_w(weights):
        decays = [w for w in weights if w.dim() > 1]
        others = [w for w in weights if w.dim() == 1]
        return torch.optim.AdamW(
            [{"params": decays}, {"params": others, "weight_decay": 0}], lr=0.01, weight_decay=0.1)

    return {
        "adam": with_torch(lambda weights: torch.optim.Adam(weights, lr=0.01)),
        "adamw": with_torch(torch_adam_w),
        "muon": run({"inner": muon_w, "outer": adam_w, "other": adam_b}),
        "soap": run({"inner": soap_w, "outer": soap_w, "other": soap_b}),
    }


def gamma_of(width):
    """The paper's formula: the largest real root of gamma^3 + 7 gamma^2 + (16 - t) gamma + 12 - t."""
    t = width**-2
    return np.roots([1, 7, 16 - t, 12 - t]).real.max()


def overlap(time_a, gamma_a, time_b, gamma_b):
    """By quadrature, not by a formula: the integral of p_a p_b."""
    end = min(time_a, time_b)
    nodes, weights = np.polynomial.legendre.leggauss(200)
    u, du = (nodes + 1) / 2 * end, weights / 2 * end
    profile = lambda time, gamma: (gamma + 1) * (u / time) ** gamma / time
    return np.sum(profile(time_a, gamma_a) * profile(time_b, gamma_b) * du)


def post_hoc():
    """Averages of a random walk, and others made of them."""
    widths, steps, size, every = (0.05, 0.10), 400, 16, 50
    walk = np.cumsum([philox_np.normal(SEED, 10**6 + t, size) / 16 for t in range(steps)], 0, np.float64)
    numbers, stored, snapshots = {}, [], []
    for width in widths:
        gamma, average = gamma_of(width), np.zeros(size)
        for step in range(1, steps + 1):
            beta = (1 - 1 / step) ** (gamma + 1)
            average = beta * average + (1 - beta) * walk[step - 1]
            if step % every == 0:
                stored.append((step, gamma))
                snapshots.append(average)
        numbers[f"power.{width}"] = average
    for width in (0.07, 0.15):
        wanted = (steps, gamma_of(width))
        products = np.array([[overlap(*a, *b) for b in stored] for a in stored])
        right = np.array([overlap(*a, *wanted) for a in stored])
        coefficients = np.linalg.solve(products, right)
        numbers[f"coefficients.{width}"] = coefficients
        numbers[f"post_hoc.{width}"] = coefficients @ np.array(snapshots)
    numbers["gammas"] = np.array([gamma_of(width) for width in (0.02, 0.05, 0.1, 0.2)])
    return numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--golden", metavar="FILE", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    golden = {f"{kind}.{name}": weight.numpy().astype(np.float64)
              for kind, finals in optimizers().items() for name, weight in finals.items()}
    golden.update(post_hoc())
    about = "weights after 20 steps, and averages of a random walk; made by bench/pytorch/optimizers.py"
    safetensors_np.save(args.golden, golden, {"about": about})


if __name__ == "__main__":
    main()
