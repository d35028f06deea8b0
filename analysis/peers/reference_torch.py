#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reference numbers of tests/unit/torch_reference.h, from PyTorch in float64.

    analysis/peers/reference_torch.py > tests/unit/torch_reference.h

An MLP 3-4-3 on five rows; parameter i, in granary's order (weights [in, out]), is sin(i + 1) / 2,
feature i is cos(i), labels are 0 1 2 0 1.
"""
import math
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
SHAPES = [(3, 4), (4,), (4, 3), (3,)]
ROWS = 5
features = torch.tensor([math.cos(i) for i in range(ROWS * 3)]).reshape(ROWS, 3)
labels = torch.tensor([0, 1, 2, 0, 1])


def parameters():
    made, i = [], 0
    for shape in SHAPES:
        n = math.prod(shape)
        made.append(torch.tensor([math.sin(j + 1) / 2 for j in range(i, i + n)]).reshape(shape).requires_grad_())
        i += n
    return made


def loss_of(p, activation):
    return F.cross_entropy(activation(features @ p[0] + p[1]) @ p[2] + p[3], labels)


def show(name, tensors):
    values = [f"{v:.15e}" for t in tensors for v in t.detach().flatten().tolist()]
    print(f"static const double {name}[] = {{")
    for i in range(0, len(values), 3):
        print("    " + ", ".join(values[i:i + 3]) + ",")
    print("};")


print("/* SPDX-License-Identifier: Apache-2.0 */")
print(f"/* Made by analysis/peers/reference_torch.py with PyTorch {torch.__version__}; do not edit. */")
print("/* clang-format off */")
for name, activation in (("relu", F.relu), ("gelu", F.gelu), ("tanh", torch.tanh)):
    p = parameters()
    loss = loss_of(p, activation)
    loss.backward()
    print(f"static const double torch_{name}_loss = {loss.item():.15e};")
    show(f"torch_{name}_gradient", [t.grad for t in p])

for name, momentum, decay in (("sgd", 0.0, 0.0), ("decay", 0.0, 1e-2), ("momentum", 0.9, 1e-4)):
    p = parameters()
    optimiser = torch.optim.SGD(p, lr=0.1, momentum=momentum, weight_decay=decay)
    for _ in range(3):
        optimiser.zero_grad()
        loss_of(p, F.relu).backward()
        optimiser.step()
    show(f"torch_{name}_parameters", p)

# Clipping: PyTorch's coefficient is clip / (norm + 1e-6), granary's clip / norm.
for name, make, clip in (
        ("nesterov", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2, nesterov=True), None),
        ("adam", lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=1e-2), None),
        ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.8, 0.95), eps=1e-6, weight_decay=1e-1), None),
        ("clip", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2), 0.1)):
    p = parameters()
    optimiser = make(p)
    for _ in range(3):
        optimiser.zero_grad()
        loss_of(p, F.relu).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(p, clip)
        optimiser.step()
    show(f"torch_{name}_parameters", p)

# Learning rates of rounds 1 to 12, with 3 rounds of warm-up: the last of them has the whole rate.
import torch.optim.lr_scheduler as schedulers
for name, make in (("step", lambda o: schedulers.StepLR(o, 4, gamma=0.3)),
                   ("cosine", lambda o: schedulers.CosineAnnealingLR(o, 9, eta_min=0.02))):
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    after, rates = make(optimiser), []
    for _ in range(9):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        after.step()
    show(f"torch_{name}_rates", [torch.tensor([0.2 * (i + 1) / 3 for i in range(3)] + rates)])
