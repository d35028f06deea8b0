#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reference numbers of tests/unit/torch_layers.h, from PyTorch in float64.

    analysis/peers/reference_layers_torch.py > tests/unit/torch_layers.h

Parameter i, in granary's order, is sin(i + 1) / 2; feature i is cos(i); label of row i is i mod 3;
its target 1.5 sin(i) + 0.3, of a count i mod 3. granary's order: convolutions [height, width, in,
out], images [height, width, channels], dense [in, out]; PyTorch's are [out, in, height, width],
[channels, height, width] and [out, in].
"""
import math
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
ROWS = 4
ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "tanh": torch.tanh, "none": lambda x: x}
drawn = 0
tensors = []


def parameter(*shape):
    """The next parameters, in granary's order."""
    global drawn
    n = math.prod(shape)
    made = torch.tensor([math.sin(i + 1) / 2 for i in range(drawn, drawn + n)]).reshape(shape).requires_grad_()
    drawn += n
    tensors.append(made)
    return made


def conv(x, filters, kernel, stride=1, same=False, activation="relu"):
    w, b = parameter(kernel, kernel, x.shape[1], filters), parameter(filters)
    if same:
        sides = []
        for n in (x.shape[3], x.shape[2]):
            reach = (-(-n // stride) - 1) * stride + kernel
            padding = max(reach - n, 0)
            sides += [padding // 2, padding - padding // 2]
        x = F.pad(x, sides)
    return ACTIVATIONS[activation](F.conv2d(x, w.permute(3, 2, 0, 1), b, stride=stride))


def group_norm(x, groups, activation="none"):
    w, b = parameter(x.shape[1]), parameter(x.shape[1])
    return ACTIVATIONS[activation](F.group_norm(x, groups, w, b))


def dense(x, width, activation="relu"):
    if x.dim() == 4:
        x = x.permute(0, 2, 3, 1).flatten(1)
    w, b = parameter(x.shape[1], width), parameter(width)
    return ACTIVATIONS[activation](x @ w + b)


def images(height, width, channels):
    n = ROWS * height * width * channels
    return torch.tensor([math.cos(i) for i in range(n)]).reshape(ROWS, height, width, channels).permute(0, 3, 1, 2)


def relu_net():
    x = conv(images(9, 8, 2), 5, 3, same=True)
    x = F.max_pool2d(x, 2)
    x = conv(x, 6, 3)
    return dense(dense(F.max_pool2d(x, 2, stride=1), 7), 3, "none")


def smooth_net():
    x = conv(images(7, 7, 1), 4, 4, stride=2, same=True, activation="none")
    x = group_norm(x, 2, "gelu")
    x = conv(x, 6, 2, activation="tanh")
    x = F.avg_pool2d(x, 2, stride=1)
    return dense(x, 3, "none")


def winograd_net():
    """Convolutions that granary takes by minimal filtering: of odd sizes, padded and not."""
    x = conv(images(13, 12, 2), 16, 3, same=True)
    x = F.max_pool2d(conv(x, 48, 5, same=True), 2)
    return dense(conv(x, 16, 5, activation="gelu"), 3, "none")


def winograd_3_net():
    x = conv(images(14, 14, 2), 16, 3, same=True)
    x = F.max_pool2d(conv(x, 16, 3, same=True), 2)
    return dense(conv(x, 16, 3, activation="gelu"), 3, "none")


def merged_net():
    """Convolutions that granary takes together with the pools behind them, the second by minimal filtering."""
    x = F.max_pool2d(conv(images(17, 16, 2), 16, 5), 2)
    x = F.max_pool2d(conv(x, 16, 5, same=True), 2)
    return dense(x, 3, "none")


def show(name, loss, every=1):
    """The loss, and each so many-th element of its gradient."""
    loss.backward()
    values = [f"{v:.15e}" for t in tensors for v in t.grad.flatten().tolist()][::every]
    print(f"static const double torch_{name}_loss = {loss.item():.15e};")
    print(f"static const double torch_{name}_gradient[] = {{")
    for i in range(0, len(values), 3):
        print("    " + ", ".join(values[i:i + 3]) + ",")
    print("};")


print("/* SPDX-License-Identifier: Apache-2.0 */")
print(f"/* Made by analysis/peers/reference_layers_torch.py with PyTorch {torch.__version__}; do not edit. */")
print("/* clang-format off */")
labels = torch.tensor([i % 3 for i in range(ROWS)])
for name, net in (("relu_net", relu_net), ("smooth_net", smooth_net)):
    drawn, tensors = 0, []
    show(name, F.cross_entropy(net(), labels))

drawn, tensors = 0, []
show("winograd_net", F.cross_entropy(winograd_net(), labels), 97)

drawn, tensors = 0, []
show("winograd_3_net", F.cross_entropy(winograd_3_net(), labels), 97)

drawn, tensors = 0, []
show("merged_net", F.cross_entropy(merged_net(), labels), 97)

ROWS = 9
features = torch.tensor([math.cos(i) for i in range(ROWS * 3)]).reshape(ROWS, 3)
labels = torch.tensor([i % 3 for i in range(ROWS)])
targets = torch.tensor([1.5 * math.sin(i) + 0.3 for i in range(ROWS)])
LOSSES = {
    "smoothing": (3, lambda z: F.cross_entropy(z, labels, label_smoothing=0.1)),
    "binary": (1, lambda z: F.binary_cross_entropy_with_logits(z[:, 0], (labels > 0).double())),
    "squared": (1, lambda z: F.mse_loss(z[:, 0], targets)),
    "huber": (1, lambda z: F.huber_loss(z[:, 0], targets, delta=0.75)),
    "poisson": (1, lambda z: F.poisson_nll_loss(z[:, 0], labels.double(), log_input=True, full=False)),
}
for name, (width, loss) in LOSSES.items():
    drawn, tensors = 0, []
    show(name, loss(dense(features, width, "none")))
