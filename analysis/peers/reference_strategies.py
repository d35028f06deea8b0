#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reference numbers of tests/parallel/strategy_reference.h: three rounds of each strategy on five
silos, from the papers' formulas, in NumPy's float64, and SciPy's trim_mean.

    analysis/peers/reference_strategies.py > tests/parallel/strategy_reference.h

An MLP 3-4-3 with tanh; parameter i, in granary's order (weights [in, out]), is sin(i + 1) / 2. Silo
s has ROWS[s] rows; element i of its features is cos(0.7 i + s), the label of row i is (i + s) mod 3.
A silo takes three steps of gradient descent on all its rows at rate 0.2 with weight decay 0.01;
updates are averaged by rows (McMahan et al. 2017, algorithm 1). For fednova and scaffold silos take
UNEVEN steps, and only those of DRAWN take part in a round.
"""
import numpy as np
import scipy.stats

ROWS = [4, 9, 6, 5, 12]
SHAPES = [(3, 4), (4,), (4, 3), (3,)]
SIZES = [12, 4, 12, 3]
RATE, DECAY, STEPS, ROUNDS = 0.2, 0.01, 3, 3
SILOS = [(np.cos(0.7 * np.arange(n * 3) + s).reshape(n, 3), (np.arange(n) + s) % 3) for s, n in enumerate(ROWS)]


def gradient(w, x, y):
    """Of the mean softmax cross-entropy."""
    w1, b1, w2, b2 = (p.reshape(shape) for p, shape in zip(np.split(w, np.cumsum(SIZES)[:-1]), SHAPES))
    hidden = np.tanh(x @ w1 + b1)
    z = hidden @ w2 + b2
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    d2 = p / len(y)
    d1 = (d2 @ w2.T) * (1 - hidden ** 2)
    return np.concatenate([(x.T @ d1).ravel(), d1.sum(0), (hidden.T @ d2).ravel(), d2.sum(0)])


def local(start, x, y, mu):
    """mu: of FedProx, Li et al. 2020, equation 2."""
    w = start.copy()
    for _ in range(STEPS):
        w -= RATE * (gradient(w, x, y) + mu * (w - start) + DECAY * w)
    return w - start


def full(start, x, y, _):
    """FedSGD, McMahan et al. 2017, section 2."""
    return -RATE * (gradient(start, x, y) + DECAY * start)


def by_rows(updates):
    return np.average(updates, axis=0, weights=ROWS)


def run(step, solve=local, mu=0.0, combine=by_rows):
    w, state = np.sin(np.arange(sum(SIZES)) + 1) / 2, {}
    for _ in range(ROUNDS):
        updates = [solve(w, x, y, mu) for x, y in SILOS]
        w = w + step(combine(updates), state)
    return w


def trimmed(updates):
    """Yin et al. 2018, definition 2, with beta 0.25: of five silos one at either end."""
    return scipy.stats.trim_mean(updates, 0.25, axis=0)


def fedavgm(delta, state):
    """Hsu, Qi, Brown 2019, section 4: momentum 0.9, server learning rate 0.5."""
    state["v"] = 0.9 * state.get("v", 0) + delta
    return 0.5 * state["v"]


def adaptive(second, eta=0.05, beta1=0.8, beta2=0.95, tau=0.02):
    """Reddi et al. 2021, algorithm 2, with v = tau^2 before round 1."""
    def step(delta, state):
        v = state.get("v", np.full_like(delta, tau ** 2))
        state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * delta
        state["v"] = second(v, delta ** 2, beta2)
        return eta * state["m"] / (np.sqrt(state["v"]) + tau)
    return step


def uneven(start, x, y, steps, correction=0.0):
    """So many steps of gradient descent, with a correction of each gradient."""
    w = start.copy()
    for _ in range(steps):
        w -= RATE * (gradient(w, x, y) + DECAY * w + correction)
    return w - start


# Local steps of each silo, and the silos of each round, for the two that follow.
UNEVEN = [1, 2, 3, 1, 2]
DRAWN = [[0, 1, 2, 3, 4], [0, 2, 3], [1, 2, 4]]


def fednova():
    """Wang et al. 2020, equation 8 with a_i = [1, ..., 1]: tau_eff sum p_i delta_i / tau_i."""
    w = np.sin(np.arange(sum(SIZES)) + 1) / 2
    for members in DRAWN:
        p = np.array([ROWS[i] for i in members], dtype=float)
        p /= p.sum()
        deltas = [uneven(w, *SILOS[i], UNEVEN[i]) / UNEVEN[i] for i in members]
        tau = sum(q * UNEVEN[i] for q, i in zip(p, members))
        w = w + 0.8 * tau * sum(q * d for q, d in zip(p, deltas))
    return w


def scaffold():
    """Karimireddy et al. 2020, algorithm 1, option II, with a global rate of 0.9."""
    x = np.sin(np.arange(sum(SIZES)) + 1) / 2
    c, own = np.zeros_like(x), [np.zeros_like(x) for _ in ROWS]
    for members in DRAWN:
        deltas, changes = [], []
        for i in members:
            delta = uneven(x, *SILOS[i], UNEVEN[i], c - own[i])
            after = own[i] - c - delta / (UNEVEN[i] * RATE)
            deltas.append(delta)
            changes.append(after - own[i])
            own[i] = after
        x = x + 0.9 * np.mean(deltas, axis=0)
        c = c + len(members) / len(ROWS) * np.mean(changes, axis=0)
    return x


RUNS = {
    "fedavg": run(lambda delta, _: delta),
    "fedavgm": run(fedavgm),
    "fedsgd": run(lambda delta, _: delta, full),
    "fedprox": run(lambda delta, _: delta, mu=0.7),
    "fedadagrad": run(adaptive(lambda v, square, _: v + square)),
    "fedadam": run(adaptive(lambda v, square, b: b * v + (1 - b) * square)),
    "fedyogi": run(adaptive(lambda v, square, b: v - (1 - b) * square * np.sign(v - square))),
    "median": run(lambda delta, _: delta, combine=lambda updates: np.median(updates, axis=0)),
    "trimmed_mean": run(lambda delta, _: delta, combine=trimmed),
    "fednova": fednova(),
    "scaffold": scaffold(),
}

print("/* SPDX-License-Identifier: Apache-2.0 */")
print(f"/* Made by analysis/peers/reference_strategies.py with NumPy {np.__version__}; do not edit. */")
print("/* clang-format off */")
for name, w in RUNS.items():
    values = [f"{v:.15e}" for v in w]
    print(f"static const double numpy_{name}[] = {{")
    for i in range(0, len(values), 3):
        print("    " + ", ".join(values[i:i + 3]) + ",")
    print("};")
