#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch's side of analysis/bench_train.sh: samples per second of processor time.

    analysis/peers/train_rate_torch.py BATCH PASSES [mlp|cnn]

The same job as analysis/bench_train.c: an MLP 784-200-200-10 over 7,500 images, or McMahan's CNN
over 1,600, of bytes, half of them zero, gathered by index_select and scaled; SGD 0.05; one thread;
one pass to warm up.
"""
import sys
import time
import torch

cnn = sys.argv[3:] == ['cnn']
ROWS, FEATURES, CLASSES = 1600 if cnn else 7500, 784, 10
batch, passes = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
torch.manual_seed(1)
draws = torch.randint(0, 512, (ROWS, FEATURES))
images = torch.where(draws < 256, draws, torch.zeros_like(draws)).to(torch.uint8)
labels = torch.randint(0, CLASSES, (ROWS,))
model = torch.nn.Sequential(torch.nn.Linear(FEATURES, 200), torch.nn.ReLU(), torch.nn.Linear(200, 200),
                            torch.nn.ReLU(), torch.nn.Linear(200, CLASSES))
if cnn:
    model = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 28, 28)), torch.nn.Conv2d(1, 32, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 64, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(3136, 512), torch.nn.ReLU(), torch.nn.Linear(512, CLASSES))
optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
loss_of = torch.nn.CrossEntropyLoss()


def train_pass():
    order = torch.randperm(ROWS)
    for first in range(0, ROWS, batch):
        rows = order[first:first + batch]
        x = images.index_select(0, rows).float().div_(255)
        optimiser.zero_grad(set_to_none=True)
        loss_of(model(x), labels.index_select(0, rows)).backward()
        optimiser.step()


train_pass()
start = time.process_time()
for _ in range(passes):
    train_pass()
print(f"{passes * ROWS / (time.process_time() - start):.0f}")
