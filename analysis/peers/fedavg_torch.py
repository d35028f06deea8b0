#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plain FedAvg with PyTorch and mpi4py, to compare with: the same rows in the same silos, the same
model, optimiser and weights, float32 sums by MPI_Allreduce.

usage: mpirun -n RANKS python3 fedavg_torch.py --partition FILE [--rounds N] [--batch N] [--rate R]
       [--seed N] [--data FOLDER]

FILE is written by bench_partition: for each silo its number of rows, then its row numbers, uint32.
Prints a line a round: round, test accuracy, seconds of the round (without the evaluation), and last
the mean accuracy of the last five rounds and the median seconds.
"""
import argparse
import gzip
import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np
import torch
from mpi4py import MPI


def idx(path):
    with gzip.open(path, "rb") as file:
        raw = file.read()
    dims = raw[3]
    shape = np.frombuffer(raw, ">u4", dims, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * dims).reshape(shape)


def main():
    words = argparse.ArgumentParser()
    words.add_argument("--partition", required=True)
    words.add_argument("--rounds", type=int, default=20)
    words.add_argument("--batch", type=int, default=32)
    words.add_argument("--rate", type=float, default=0.05)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
    words = words.parse_args()
    comm = MPI.COMM_WORLD
    torch.set_num_threads(1)

    parts, raw, at = [], np.fromfile(words.partition, np.uint32), 0
    while at < len(raw):
        parts.append(raw[at + 1:at + 1 + raw[at]].astype(np.int64))
        at += 1 + int(raw[at])
    images = idx(words.data + "/train-images-idx3-ubyte.gz")
    labels = idx(words.data + "/train-labels-idx1-ubyte.gz")
    silos = []
    for silo in range(comm.rank, len(parts), comm.size):
        rows = parts[silo]
        silos.append((silo, torch.from_numpy(images[rows].reshape(-1, 784).astype(np.float32) / 255),
                      torch.from_numpy(labels[rows].astype(np.int64))))
    del images
    test_x = torch.from_numpy(idx(words.data + "/t10k-images-idx3-ubyte.gz").reshape(-1, 784)
                              .astype(np.float32) / 255)
    test_y = torch.from_numpy(idx(words.data + "/t10k-labels-idx1-ubyte.gz").astype(np.int64))
    total = float(sum(len(part) for part in parts))

    torch.manual_seed(words.seed)
    model = torch.nn.Sequential(torch.nn.Linear(784, 200), torch.nn.ReLU(),
                                torch.nn.Linear(200, 200), torch.nn.ReLU(),
                                torch.nn.Linear(200, 10))
    for layer in model:
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            torch.nn.init.zeros_(layer.bias)
    loss_of = torch.nn.CrossEntropyLoss()
    flat = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy().copy()
    comm.Bcast(flat)

    accuracies, times = [], []
    for number in range(words.rounds):
        comm.Barrier()
        started = time.perf_counter()
        update = np.zeros_like(flat)
        for silo, x, y in silos:
            torch.nn.utils.vector_to_parameters(torch.from_numpy(flat.copy()), model.parameters())
            solver = torch.optim.SGD(model.parameters(), lr=words.rate)
            order = torch.randperm(len(y), generator=torch.Generator().manual_seed(
                words.seed * 1000003 + number * 1009 + silo))
            for first in range(0, len(y), words.batch):
                batch = order[first:first + words.batch]
                solver.zero_grad()
                loss_of(model(x[batch]), y[batch]).backward()
                solver.step()
            trained = torch.nn.utils.parameters_to_vector(model.parameters()).detach().numpy()
            update += (len(y) / total) * (trained - flat)
        mean = np.empty_like(update)
        comm.Allreduce(update, mean)
        flat += mean
        times.append(time.perf_counter() - started)
        if comm.rank == 0:
            torch.nn.utils.vector_to_parameters(torch.from_numpy(flat.copy()), model.parameters())
            with torch.no_grad():
                accuracy = (model(test_x).argmax(1) == test_y).double().mean().item()
            accuracies.append(accuracy)
            print(f"{number + 1} {accuracy:.4f} {times[-1]:.5f}", flush=True)
    if comm.rank == 0:
        print(f"mean {np.mean(accuracies[-5:]):.4f} seconds {np.median(times):.5f}")


main()
