#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reference numbers of tests/unit/torch_clipped.h, from PyTorch in float64.

    analysis/peers/reference_clipped_torch.py > tests/unit/torch_clipped.h

Sums of clipped gradients, one row at a time (Abadi et al. 2016, Algorithm 1), of the models of
tests/unit/test_clipped_sum.c. Element i of the parameters, in granary's layout with its gaps, is
sin(i + 1) / 2 as float32; rows, labels, targets and weights are those of `put` there. Every so
many-th element of a sum is shown. Convolutions are [height, width, in, out], images [height, width,
channels], dense [in, out].
"""
import math
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
ROWS, ALIGNMENT = 64, 16
ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "tanh": torch.tanh, "none": lambda x: x}


def as_float32(values):
    return torch.tensor(values, dtype=torch.float64).float().double()


class Parameters:
    """The layout's tensors, made when first asked for, and then given in turn."""

    def __init__(self):
        self.tensors, self.offsets, self.size, self.next = [], [], 0, 0

    def take(self, *shape):
        if self.next == len(self.tensors):
            n = math.prod(shape)
            made = as_float32([math.sin(i + 1) / 2 for i in range(self.size, self.size + n)])
            self.tensors.append(made.reshape(shape).requires_grad_())
            self.offsets.append(self.size)
            self.size += -(-n // ALIGNMENT) * ALIGNMENT
        self.next += 1
        return self.tensors[self.next - 1]


def dense(p, x, width, activation="none"):
    if x.dim() == 4:
        x = x.permute(0, 2, 3, 1).flatten(1)
    w, b = p.take(x.shape[1], width), p.take(width)
    return ACTIVATIONS[activation](x @ w + b)


def conv(p, x, filters, kernel, stride=1, same=False, activation="relu"):
    w, b = p.take(kernel, kernel, x.shape[1], filters), p.take(filters)
    if same:
        sides = []
        for n in (x.shape[3], x.shape[2]):
            padding = max((-(-n // stride) - 1) * stride + kernel - n, 0)
            sides += [padding // 2, padding - padding // 2]
        x = F.pad(x, sides)
    return ACTIVATIONS[activation](F.conv2d(x, w.permute(3, 2, 0, 1), b, stride=stride))


def group_norm(p, x, groups, activation):
    w, b = p.take(x.shape[1]), p.take(x.shape[1])
    return ACTIVATIONS[activation](F.group_norm(x, groups, w, b))


def image(x, height, width, channels):
    return x.reshape(1, height, width, channels).permute(0, 3, 1, 2)


def normed(p, x):
    x = conv(p, image(x, 7, 6, 2), 4, 3, stride=2, same=True, activation="tanh")
    x = conv(p, group_norm(p, x, 2, "gelu"), 3, 2)
    return dense(p, F.max_pool2d(x, 2, stride=1), 3)


def wide(p, x):
    x = conv(p, image(x, 8, 7, 1), 16, 3, same=True)
    x = F.avg_pool2d(conv(p, x, 16, 5, same=True, activation="gelu"), 2)
    return dense(p, conv(p, x, 5, 1), 3)


def pooled(p, x):
    x = F.max_pool2d(conv(p, image(x, 15, 14, 1), 16, 3, same=True), 2)
    return dense(p, F.max_pool2d(conv(p, x, 16, 5, same=True), 2), 3)


def embedding(p, x):
    tables = {1: p.take(4, 3), 3: p.take(3, 3)}
    x = torch.cat([tables[i][x[:, i].long()] if i in tables else x[:, i:i + 1] for i in range(5)], 1)
    return dense(p, dense(p, x, 6, "relu"), 3)


def bag(p, x):
    table = p.take(4, 3)
    ids = [int(v) - 1 for v in x[0] if v > 0]
    mean = table[ids].mean(0, keepdim=True) if ids else torch.zeros(1, 3)
    return dense(p, mean, 3)


def smoothed(p, x):
    return dense(p, dense(p, dense(p, x, 96, "relu"), 40, "relu"), 4)


def mlp(p, x):
    return dense(p, dense(p, dense(p, x, 6, "tanh"), 5, "tanh"), 4)


def one(p, x):
    return dense(p, x, 1)[:, 0]


def entropy(z, row):
    return F.cross_entropy(z, torch.tensor([row % 3]))


MODELS = [  # name, inputs, clip, outputs, loss, each so many-th
    ("softmax", 7, 1.5, lambda p, x: dense(p, x, 3), entropy, 1),
    ("smoothed", 70, 20, smoothed, lambda z, r: F.cross_entropy(z, torch.tensor([r % 3]), label_smoothing=0.1), 197),
    ("mlp", 7, 1, mlp, entropy, 3),
    ("logistic", 7, 0.5, one, lambda z, r: F.binary_cross_entropy_with_logits(z, torch.tensor([r % 2.0])), 1),
    ("linear", 7, 4, one, lambda z, r: F.mse_loss(z, torch.tensor([r % 3.0])), 1),
    ("huber", 7, 0.9, one, lambda z, r: F.huber_loss(z, torch.tensor([r % 3.0]), delta=0.5), 1),
    ("poisson", 7, 2, one, lambda z, r: F.poisson_nll_loss(z, torch.tensor([r % 3.0]), log_input=True), 1),
    ("embedding", 5, 1, embedding, entropy, 3),
    ("bag", 6, 1, bag, entropy, 1),
    ("normed images", 84, 1.5, normed, entropy, 7),
    ("wide images", 56, 2, wide, entropy, 211),
    ("pooled images", 210, 100, pooled, entropy, 397),
]


def features(name, inputs, row):
    if name == "bag":
        return torch.tensor([[float((row * 3 + i * i) % 5) for i in range(inputs)]])
    scale = 0.1 if row % 3 == 0 else 1.5
    x = as_float32([math.cos(row * 31 + i * (row % 5 + 1)) * scale for i in range(inputs)])
    for i, categories in {1: 3, 3: 2}.items() if name == "embedding" else ():
        x[i] = (row + i) % (categories + 1)
    return x.reshape(1, inputs)


def clipped_sum(name, inputs, clip, outputs, loss):
    p = Parameters()
    total = None
    for row in range(ROWS):
        p.next = 0
        value = (0.25 + 0.5 * (row % 4)) * loss(outputs(p, features(name, inputs, row)), row)
        total = total or [torch.zeros_like(t) for t in p.tensors]
        gradient = torch.autograd.grad(value, p.tensors)
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradient))
        for t, g in zip(total, gradient):
            t += g * min(1, clip / norm)
    flat = torch.zeros(p.size)
    for offset, t in zip(p.offsets, total):
        flat[offset:offset + t.numel()] = t.flatten()
    return flat


print("/* SPDX-License-Identifier: Apache-2.0 */")
print(f"/* Made by analysis/peers/reference_clipped_torch.py with PyTorch {torch.__version__}; do not edit. */")
print("/* clang-format off */")
for number, (name, inputs, clip, outputs, loss, every) in enumerate(MODELS):
    values = [f"{v:.12e}" for v in clipped_sum(name, inputs, clip, outputs, loss).tolist()[::every]]
    print(f"static const double torch_clipped_{number}[] = {{ /* {name} */")
    for i in range(0, len(values), 4):
        print("    " + ", ".join(values[i:i + 4]) + ",")
    print("};")
print("static const struct {\n    const char *name;\n    const double *value;\n    size_t n, every;\n} torch_clipped[] = {")
for number, (name, *_, every) in enumerate(MODELS):
    print(f'    {{"{name}", torch_clipped_{number}, COUNT(torch_clipped_{number}), {every}}},')
print("};")
