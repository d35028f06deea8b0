#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's side of analysis/bench_train.sh: samples per second of processor time on one thread.

Reads lines "MODEL train|score BATCH float32|bfloat16 half|full SECONDS", the words of
analysis/bench_train.c, and answers each with a line: the rate, or "none" where the processor does
not have bfloat16. The jobs are those of bench_train.c: rows gathered by index_select and scaled, SGD
0.05; score: the forward pass alone, over rows in their order. bfloat16 is autocast's.
"""
import os
import sys
import time
import torch
from torch import nn

ROWS, CODES, CATEGORIES, VOCABULARY = 8192, 8, 1000, 10000


class Embedding(nn.Module):
    """Tables for the first columns, the others as they are; gradients are of the rows looked up."""

    def __init__(self):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(CATEGORIES + 1, 16, sparse=True) for _ in range(CODES))
        self.rest = nn.Sequential(nn.Linear(CODES * 17, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        codes = x[:, :CODES].long()
        return self.rest(torch.cat([t(codes[:, i]) for i, t in enumerate(self.tables)] + [x[:, CODES:]], 1))


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(VOCABULARY + 1, 32, mode="mean", sparse=True, padding_idx=0)
        self.rest = nn.Linear(32, 2)

    def forward(self, x):
        return self.rest(self.bag(x))


def make(name):
    """The model, and whether its one output is the log odds of label 1."""
    if name == "mlp":
        return nn.Sequential(nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10))
    if name == "cnn":
        return nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, 10))
    if name == "tabular":
        return nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3))
    if name == "softmax":
        return nn.Linear(20, 3)
    if name == "logistic":
        return nn.Sequential(nn.Linear(20, 1), nn.Flatten(0))
    return Embedding() if name == "embedding" else Bag()


def rows_of(name, full):
    """Features as they are kept, and labels."""
    n = 1024 if name == "cnn" else ROWS
    classes = 10 if name in ("mlp", "cnn") else 3 if name in ("tabular", "softmax") else 2
    labels = torch.randint(0, classes, (n,))
    if name in ("mlp", "cnn"):
        draws = torch.randint(0, 512, (n, 784))
        images = 1 + draws % 255 if full else torch.where(draws < 256, draws, torch.zeros_like(draws))
        return images.to(torch.uint8), labels
    if name == "bag":
        return torch.randint(0, VOCABULARY + 1, (n, 32)), labels
    x = torch.rand(n, 2 * CODES if name == "embedding" else 20) * 2 - 1
    if name == "embedding":
        x[:, :CODES] = torch.randint(0, CATEGORIES + 1, (n, CODES)).float()
    return x, labels.float() if name == "logistic" else labels


def has_bfloat16():
    """PyTorch's own condition for bfloat16 through oneDNN, under the limit that the environment sets."""
    with open("/proc/cpuinfo") as file:
        flags = file.read()
    return "avx512bw" in flags and "avx512vl" in flags and os.environ.get("DNNL_MAX_CPU_ISA") != "AVX2"


def ready(x):
    return x.float().div_(255) if x.dtype == torch.uint8 else x


def train_pass(model, optimiser, loss_of, rows, labels, batch, autocast):
    order = torch.randperm(len(rows))
    for first in range(0, len(rows), batch):
        index = order[first:first + batch]
        x, y = ready(rows.index_select(0, index)), labels.index_select(0, index)
        optimiser.zero_grad(set_to_none=True)
        if autocast:
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = loss_of(model(x), y)
        else:
            loss = loss_of(model(x), y)
        loss.backward()
        optimiser.step()


def score_pass(model, rows, batch, autocast):
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        for first in range(0, len(rows), batch):
            model(ready(rows[first:first + batch]))


def rate(name, what, batch, compute, inputs, seconds):
    autocast = compute == "bfloat16"
    if autocast and not has_bfloat16():
        return "none"
    torch.manual_seed(1)
    model = make(name)
    rows, labels = rows_of(name, inputs == "full")
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    loss_of = nn.BCEWithLogitsLoss() if name == "logistic" else nn.CrossEntropyLoss()
    passes = -1
    while True:
        if what == "train":
            train_pass(model, optimiser, loss_of, rows, labels, batch, autocast)
        else:
            score_pass(model, rows, batch, autocast)
        passes += 1
        if passes == 0:
            start = time.process_time()
        elif time.process_time() - start >= seconds:
            return f"{passes * len(rows) / (time.process_time() - start):.0f}"


torch.set_num_threads(1)
for line in sys.stdin:
    name, what, batch, compute, inputs, seconds = line.split()
    print(rate(name, what, int(batch), compute, inputs, float(seconds)), flush=True)
