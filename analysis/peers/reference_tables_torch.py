#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reference numbers of tests/unit/torch_tables.h, from PyTorch in float64.

    analysis/peers/reference_tables_torch.py > tests/unit/torch_tables.h

Embedding tables before an mlp, a bag of ids, and class weights: the gradient at the first
parameters, and the parameters after 3 steps of solvers on that one batch. Parameter i, in granary's
order, is sin(i + 1) / 2; label of row i is i mod 3. Dense weights are [in, out]; a bag's table has
no row for id 0.
"""
import math
import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
ROWS = 9
CODES = {1: 4, 3: 2}  # feature: rows of its table
FEATURES, WIDTH, VOCABULARY, TOKENS = 5, 3, 11, 6
labels = torch.tensor([i % 3 for i in range(ROWS)])
WEIGHTS = torch.tensor([0.5, 2.0, 1.25])
state = {}


def parameter(*shape):
    n = math.prod(shape)
    at = state["drawn"]
    state["drawn"] += n
    made = torch.tensor([math.sin(i + 1) / 2 for i in range(at, at + n)]).reshape(shape).requires_grad_()
    state["tensors"].append(made)
    return made


def mixed():
    """Feature 1 and 3 are codes, the last of each table's rows the unknown category's."""
    x = torch.tensor([math.cos(i) for i in range(ROWS * FEATURES)]).reshape(ROWS, FEATURES)
    for feature, rows in CODES.items():
        x[:, feature] = torch.tensor([(7 * i + feature) % rows for i in range(ROWS)])
    return x


def ids():
    """Zeros stand anywhere; row 4 has nothing else; ids come twice in a row."""
    made = torch.tensor([[(5 * i + 3 * t * t) % (VOCABULARY + 1) for t in range(TOKENS)] for i in range(ROWS)])
    made[:, 4] = made[:, 1]
    made[4, :] = 0
    return made


def dense(x, width):
    w, b = parameter(x.shape[1], width), parameter(width)
    return x @ w + b


def build(kind):
    """The parameters, and a function from them to the outputs."""
    state.update(drawn=0, tensors=[])
    if kind == "embedding":
        tables = [parameter(rows, WIDTH) for rows in CODES.values()]
        w0, b0, w1, b1 = (parameter(FEATURES - 2 + 2 * WIDTH, 7), parameter(7), parameter(7, 3), parameter(3))
        x = mixed()

        def run():
            columns, k = [], 0
            for f in range(FEATURES):
                if f in CODES:
                    columns.append(F.embedding(x[:, f].long(), tables[k]))
                    k += 1
                else:
                    columns.append(x[:, f:f + 1])
            return F.relu(torch.cat(columns, 1) @ w0 + b0) @ w1 + b1
    elif kind == "bag":
        table, w, b = parameter(VOCABULARY, WIDTH), parameter(WIDTH, 3), parameter(3)
        tokens = ids()

        def run():
            padded = torch.cat([torch.zeros(1, WIDTH), table])
            return F.embedding_bag(tokens, padded, mode="mean", padding_idx=0) @ w + b
    else:
        width = 1 if kind == "binary" else 3
        w, b = parameter(4, width), parameter(width)
        x = torch.tensor([math.cos(i) for i in range(ROWS * 4)]).reshape(ROWS, 4)

        def run():
            return x @ w + b
    return state["tensors"], run


def loss_of(kind, z):
    if kind == "weighted":
        return F.cross_entropy(z, labels, weight=WEIGHTS)
    if kind == "smoothed":
        return F.cross_entropy(z, labels, weight=WEIGHTS, label_smoothing=0.1)
    if kind == "binary":  # of classes 0 and 1, by the sum of the weights
        y = (labels > 0).double()
        w = WEIGHTS[(labels > 0).long()]
        return F.binary_cross_entropy_with_logits(z[:, 0], y, weight=w, reduction="sum") / w.sum()
    return F.cross_entropy(z, labels)


def show(name, values):
    print(f"static const double torch_{name}[] = {{")
    texts = [f"{v:.15e}" for v in values]
    for i in range(0, len(texts), 3):
        print("    " + ", ".join(texts[i:i + 3]) + ",")
    print("};")


print("/* SPDX-License-Identifier: Apache-2.0 */")
print(f"/* Made by analysis/peers/reference_tables_torch.py with PyTorch {torch.__version__}; do not edit. */")
print("/* clang-format off */")
print("static const float tables_features[] = {" + ", ".join(f"{v:.9g}f".replace("f", ".f" if v == int(v) else "f") for v in mixed().flatten().tolist()) + "};")
print("static const float bag_features[] = {" + ", ".join(f"{v}" for v in ids().flatten().tolist()) + "};")
for kind in ("embedding", "bag", "weighted", "smoothed", "binary"):
    tensors, run = build(kind)
    loss = loss_of(kind, run())
    loss.backward()
    print(f"static const double torch_{kind}_loss = {loss.item():.15e};")
    show(f"{kind}_gradient", [v for t in tensors for v in t.grad.flatten().tolist()])

SOLVERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.1, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01),
}
for kind in ("embedding", "bag"):
    for name, make in SOLVERS.items():
        tensors, run = build(kind)
        solver = make(tensors)
        for step in range(3):
            solver.zero_grad()
            loss_of(kind, run()).backward()
            solver.step()
        show(f"{kind}_{name}", [v for t in tensors for v in t.flatten().tolist()])
