#!/usr/bin/env python3
"""A model of a round's communication, fitted and extrapolated: see scale.sh.

scale.py MEASURED SIMULATED SUM GRID DECISION PIECE      (two files, bytes)

LogGP (Alexandrov, Ionescu, Schauser, Scheiman 1995): a message of m bytes takes L + 2 o + m G from
the beginning of the sending to the end of the receiving. With n nodes in a binary tree, of depth
d = floor(log2 n), and k pieces of m bytes in a sum of b:

  meeting  b 2 d (L + 3 o)                               a node has two children
  grid     b 2 d (L + 3 o + grid G)
  close    a (n - 1) o + b d (L + 3 o + decision G)      reports one after the other at rank 0
  sum      a s G + b 2 d (L + 2 o + m G) + 6 k o         s: bytes; an inner node takes 3 s, gives 3 s

a and b are fitted to the simulation; all else is given. The error is that of predictions for the two
largest simulated numbers of nodes, which the fit has not seen. On the machine itself all ranks share
few processors, so that a phase takes p + q n seconds; the error is likewise that of the largest n,
from a fit to the smaller ones.
"""
import math
import os
import sys

L = float(os.environ.get("LATENCY_US", 1)) * 1e-6
O = float(os.environ.get("OVERHEAD_US", 0.5)) * 1e-6
G = 1e-9 / float(os.environ.get("BANDWIDTH_GBPS", 10))
MEETINGS = 7  # of ranks in a round: the weights, the seal, evaluation and records


def read(path):
    phases = {}
    for line in open(path):
        words = line.split()
        if len(words) == 4:
            phases.setdefault(words[1], {})[int(words[0])] = (float(words[2]), int(words[3]))
    return phases


def depth(n):
    return int(math.log2(n))


def terms(phase, n, size):
    """What a phase takes without fitted coefficients, and what a and b multiply."""
    d = depth(n)
    if phase == "meeting":
        return 0.0, [2 * d * (L + 3 * O)]
    if phase == "grid":
        return 0.0, [2 * d * (L + 3 * O + size["grid"] * G)]
    if phase == "close":
        return 0.0, [(n - 1) * O, d * (L + 3 * O + size["decision"] * G)]
    pieces = -(-size["sum"] // size["piece"])
    return 6 * pieces * O, [size["sum"] * G, 2 * d * (L + 2 * O + size["piece"] * G)]


def solve(rows):
    """Least squares of relative errors: rows of (terms, seconds), one or two terms."""
    n = len(rows[0][0])
    m = [[sum(t[i] * t[j] / y**2 for t, y in rows) for j in range(n)] for i in range(n)]
    v = [sum(t[i] * y / y**2 for t, y in rows) for i in range(n)]
    if n == 1:
        return [v[0] / m[0][0]]
    det = m[0][0] * m[1][1] - m[0][1] * m[1][0]
    return [(v[0] * m[1][1] - v[1] * m[0][1]) / det, (v[1] * m[0][0] - v[0] * m[1][0]) / det]


def predict(phase, n, size, coefficients):
    base, factors = terms(phase, n, size)
    return base + sum(c * f for c, f in zip(coefficients, factors))


def fit(points, phase, size):
    rows = []
    for n, (seconds, _) in points.items():
        base, factors = terms(phase, n, size)
        rows.append((factors, seconds - base))
    return solve(rows)


def bytes_of_root(phase, n, size):
    children = min(2, n - 1)
    return {"close": children * size["decision"], "meeting": children * 8,
            "grid": children * size["grid"], "sum": children * size["sum"]}[phase]


def shown(seconds):
    return f"{seconds * 1e6:9.1f} us" if seconds < 1e-2 else f"{seconds * 1e3:9.1f} ms"


def error(phase, n, size, coefficients, points):
    return predict(phase, n, size, coefficients) / points[n][0] - 1


def measured_table(measured):
    print("\nThis machine, one rank a node, all on its processors: p + q n")
    for phase, points in measured.items():
        times = sorted((n, seconds) for n, (seconds, _) in points.items())
        if len(times) < 4:
            continue
        p, q = solve([([1.0, n], seconds) for n, seconds in times[:-1]])
        n, seconds = times[-1]
        print(f"  {phase:8} p {p * 1e6:9.1f} us, q {q * 1e6:8.1f} us a rank; {n} ranks: predicted "
              f"{shown(p + q * n)}, measured {shown(seconds)} ({(p + q * n) / seconds - 1:+.0%})")


def simulated_table(simulated, size):
    fitted = {}
    print(f"\nLogGP, L {L * 1e6:g} us, o {O * 1e6:g} us, {1e-9 / G:g} GB/s, against the simulation")
    for phase, points in simulated.items():
        ns = sorted(points)
        seen = [n for n in ns[:-2] if n > 2]
        if len(seen) < 3:
            continue
        fitted[phase] = fit({n: points[n] for n in seen}, phase, size)
        worst = max(abs(error(phase, n, size, fitted[phase], points)) for n in seen)
        unseen = ", ".join(f"{n}: {error(phase, n, size, fitted[phase], points):+.0%}" for n in ns[-2:])
        names = ", ".join(f"{name} {c:.2f}" for name, c in zip("ab" if len(fitted[phase]) > 1 else "b",
                                                               fitted[phase]))
        print(f"  {phase:8} {names}; worst error of the fit {worst:.0%}, of nodes not seen {unseen}")
    return fitted


def extrapolated_table(fitted, size):
    phases = ("close", "meeting", "grid", "sum")
    if any(phase not in fitted for phase in phases):
        return
    print("\nA round of that network, beyond training; bytes that rank 0 sends")
    print("  nodes        close   7 meetings         grid          sum        round")
    for n in (16, 256, 1000, 10000):
        times = [predict(phase, n, size, fitted[phase]) for phase in phases]
        times[1] *= MEETINGS
        letters = bytes_of_root("close", n, size) + MEETINGS * bytes_of_root("meeting", n, size)
        print(f"  {n:5} " + " ".join(shown(t) for t in times + [sum(times)]) +
              f"; letters {letters}, grid {bytes_of_root('grid', n, size)}, sum "
              f"{bytes_of_root('sum', n, size)}")


def main():
    size = dict(zip(("sum", "grid", "decision", "piece"), map(int, sys.argv[3:7])))
    measured, simulated = read(sys.argv[1]), read(sys.argv[2])
    measured_table(measured)
    if simulated:
        extrapolated_table(simulated_table(simulated, size), size)


main()
