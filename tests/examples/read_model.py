#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a softmax regression's or a multilayer perceptron's model.h5 without granary, and scores rows.

    ./read_model.py model.h5 < rows.txt

A row is a line of numbers with commas between; for each the probabilities of the classes are
written. Other models, and rows that are preprocessed, are refused. Python 3, h5py, NumPy."""
import json
import sys

import h5py
import numpy as np

ACTIVATIONS = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}

if len(sys.argv) != 2:
    sys.exit("usage: read_model.py model.h5 < rows.txt")
with h5py.File(sys.argv[1]) as f:
    about = f.attrs["architecture"]
    about = json.loads(about if isinstance(about, str) else about.decode())
    if "preprocessing" in f:
        sys.exit("the model's rows are preprocessed: use `granary predict`")
    hidden = about.get("hidden", [])
    if (about["type"] not in ("softmax", "mlp") or about.get("loss", "cross_entropy") != "cross_entropy"
            or about.get("embedding") or (hidden and about["activation"] not in ACTIVATIONS)):
        sys.exit("found %s, expected a softmax or an mlp of classes with relu or tanh" % json.dumps(about))
    tensors = {name: f["global/parameters"][name][:] for name in f["global/parameters"]}

x = np.loadtxt(sys.stdin, dtype=np.float32, ndmin=2, delimiter=",")
last = len(hidden)
for i in range(last + 1):
    x = x @ tensors["dense%d.weight" % i] + tensors["dense%d.bias" % i]
    if i < last:
        x = ACTIVATIONS[about["activation"]](x)
x = x.astype(float)
p = np.exp(x - x.max(axis=1, keepdims=True))
p /= p.sum(axis=1, keepdims=True)
for row in p:
    print(" ".join("%.6f" % value for value in row))
