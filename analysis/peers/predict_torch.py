#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Seconds of PyTorch's forward pass over rows that lie in memory: an MLP 784-200-200-10.

    analysis/peers/predict_torch.py [ROWS] [THREADS] [CSV]

Rows are bytes, scaled to float32 by batch as granary does; then the layers and the softmax. Nothing
is read. Prints the least of three passes, in batches of 500, 2,000 and 10,000 rows; with CSV, that
and what pandas takes to write labels and probabilities there, with nine decimals as granary does.
"""
import sys
import time
import torch

rows, threads = (int(sys.argv[i]) if len(sys.argv) > i else d for i, d in ((1, 1000000), (2, 2)))
torch.set_num_threads(threads)
torch.manual_seed(1)
model = torch.nn.Sequential(
    torch.nn.Linear(784, 200), torch.nn.ReLU(), torch.nn.Linear(200, 200), torch.nn.ReLU(),
    torch.nn.Linear(200, 10), torch.nn.Softmax(dim=1))
features = torch.randint(0, 256, (rows, 784), dtype=torch.uint8)
out = torch.empty(rows, 10)


def run(batch):
    started = time.perf_counter()
    for first in range(0, rows, batch):
        out[first:first + batch] = model(features[first:first + batch].to(torch.float32) * (1 / 255))
    return time.perf_counter() - started


with torch.inference_mode():
    seconds = min(run(batch) for batch in (500, 2000, 10000))
if len(sys.argv) > 3:
    import pandas

    started = time.perf_counter()
    table = pandas.DataFrame(out.numpy(), columns=["p%d" % i for i in range(10)])
    table.insert(0, "label", out.argmax(dim=1).numpy())
    table.to_csv(sys.argv[3], index=False, float_format="%.9f")
    seconds += time.perf_counter() - started
print("%.3f" % seconds)
