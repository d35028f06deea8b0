#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's side of analysis/bench_private.c: milliseconds of processor time of a private step on one thread.

  private_rate_torch.py mlp|cnn SECONDS [BATCH...]

plain: a step of SGD. ghost: book-keeping (Bu et al. 2023), one pass back, by the outputs only; norms of dense layers are
products of two, those of convolutions are of each row's own derivative; then the weights' derivatives of rows scaled.
stored: each row's own derivative by all weights is stored, as where no layer knows its norm. Both with Gaussian noise in
float32, a normal draw for each parameter. The clip is over all parameters. Medians of as many steps as take SECONDS.
"""
import statistics
import sys
import time
import torch
from torch import nn
from torch.nn import functional as F

ROWS, CLIP, RATE = 4096, 1.0, 0.05


def make(name):
    if name == "mlp":
        return nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10))
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10))


def passes(model, x, y):
    """What comes into each layer with weights, and the derivatives by its sums, of each row alone."""
    layers, came, sums = [], [], []
    for layer in model:
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layers.append(layer)
            came.append(x.detach())
            x = layer(x)
            sums.append(x)
        else:
            x = layer(x)
    return layers, came, torch.autograd.grad(F.cross_entropy(x, y, reduction="sum"), sums)


def row_derivatives(layer, a, d):
    """Of each row: by the weights, flat, and by the biases."""
    if isinstance(layer, nn.Linear):
        return torch.einsum("no,ni->noi", d, a).flatten(1), d
    d = d.flatten(2)
    columns = F.unfold(a, layer.kernel_size, padding=layer.padding)
    return torch.bmm(d, columns.transpose(1, 2)).flatten(1), d.sum(2)


def ghost(model, x, y):
    layers, came, by = passes(model, x, y)
    square, stored = 0, []
    for layer, a, d in zip(layers, came, by):
        rows = None
        if isinstance(layer, nn.Linear):
            square = square + (a.square().sum(1) + 1) * d.square().sum(1)
        else:
            rows = row_derivatives(layer, a, d)
            square = square + sum(r.square().sum(1) for r in rows)
        stored.append(rows)
    factor = (CLIP / square.sqrt()).clamp(max=1)
    for layer, a, d, rows in zip(layers, came, by, stored):
        if rows is None:
            d = d * factor[:, None]
            yield layer.weight, d.t() @ a
            yield layer.bias, d.sum(0)
        else:
            yield layer.weight, (factor @ rows[0]).view_as(layer.weight)
            yield layer.bias, factor @ rows[1]


def stored(model, x, y):
    layers, came, by = passes(model, x, y)
    rows = [row_derivatives(*each) for each in zip(layers, came, by)]
    factor = (CLIP / sum(r.square().sum(1) for pair in rows for r in pair).sqrt()).clamp(max=1)
    for layer, (weight, bias) in zip(layers, rows):
        yield layer.weight, (factor @ weight).view_as(layer.weight)
        yield layer.bias, factor @ bias


def private(how):
    def step(model, x, y):
        found = list(how(model, x, y))
        with torch.no_grad():
            for parameter, total in found:
                total += torch.randn_like(total) * CLIP
                parameter.add_(total, alpha=-RATE / len(y))
    return step


def noise(model, _x, _y):
    """What the two above spend on noise."""
    for parameter in model.parameters():
        torch.randn_like(parameter)


def plain(model, x, y):
    loss = F.cross_entropy(model(x), y)
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(parameter.grad, alpha=-RATE)


def check(model, x, y):
    """Both ways are one row at a time."""
    expected = [torch.zeros_like(p) for p in model.parameters()]
    for i in range(len(y)):
        of_row = torch.autograd.grad(F.cross_entropy(model(x[i:i + 1]), y[i:i + 1]), list(model.parameters()))
        norm = sum(g.square().sum() for g in of_row).sqrt()
        for total, g in zip(expected, of_row):
            total += g * min(1.0, float(CLIP / norm))
    for how in (ghost, stored):
        for (_, total), other in zip(how(model, x, y), expected):
            assert (total - other).norm() <= 1e-4 * other.norm()


def measure(model, step, images, labels, batch, seconds):
    taken, first = [], 0
    while len(taken) < 5 or sum(taken) < seconds:
        index = torch.arange(first, first + batch)
        first = (first + batch) % (ROWS - batch + 1)
        begin = time.process_time()
        step(model, images.index_select(0, index).float() / 255, labels.index_select(0, index))
        taken.append(time.process_time() - begin)
    return statistics.median(taken[2:])


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    name, seconds = sys.argv[1], float(sys.argv[2])
    batches = [int(b) for b in sys.argv[3:]] or [16, 64, 256, 1024]
    draws = torch.randint(0, 512, (ROWS, 784))
    images = torch.where(draws < 256, draws, torch.zeros_like(draws)).to(torch.uint8)
    labels = torch.randint(0, 10, (ROWS,))
    check(make(name), images[:8].float() / 255, labels[:8])
    print(f"{name}: PyTorch {torch.__version__}, milliseconds of processor time a step")
    print("batch     plain     ghost    stored noise of it")
    for batch in batches:
        times = [measure(make(name), step, images, labels, batch, seconds)
                 for step in (plain, private(ghost), private(stored), noise)]
        print(f"{batch:5d}" + "".join(f" {1e3 * t:9.2f}" for t in times), flush=True)


main()
