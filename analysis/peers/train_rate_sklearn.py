#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""scikit-learn's side of analysis/bench_train.sh: samples per second of processor time.

Reads and answers lines as train_rate_torch.py does, of training in float32 only. tabular:
MLPClassifier, plain SGD in batches; softmax and logistic: SGDClassifier, which steps row by row, and
has a model for each of three classes against the others.
"""
import sys
import time
import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier

ROWS = 8192


def rate(name, batch, seconds):
    draws = np.random.default_rng(1)
    n_classes = 2 if name == "logistic" else 3
    rows = draws.random((ROWS, 20), np.float32) * 2 - 1
    labels = draws.integers(0, n_classes, ROWS)
    if name == "tabular":
        model = MLPClassifier((32, 16), solver="sgd", alpha=0, batch_size=batch, learning_rate_init=0.05, momentum=0)
    else:
        model = SGDClassifier(loss="log_loss", alpha=1e-9, learning_rate="constant", eta0=0.05)
    passes = -1
    while True:
        model.partial_fit(rows, labels, classes=np.arange(n_classes))  # one pass
        passes += 1
        if passes == 0:
            start = time.process_time()
        elif time.process_time() - start >= seconds:
            return passes * ROWS / (time.process_time() - start)


for line in sys.stdin:
    name, _, batch, _, _, seconds = line.split()
    print(f"{rate(name, int(batch), float(seconds)):.0f}", flush=True)
