#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Matrices of Winograd's minimal filtering F(2x2, 5x5) and F(4x4, 3x3) for five points and infinity, and
of F(2x2, 3x3) for three, and what each choice loses in float32, against the definition in float32; both
against float64 (NumPy).

    analysis/peers/winograd_points.py

src/model/winograd_transform.h has the matrices of the choice that loses least.
"""
from fractions import Fraction
import numpy as np

CHANNELS, TILES = 32, 400


def from_roots(roots):
    """Coefficients of the polynomial with these roots, the constant first."""
    c = [Fraction(1)]
    for a in roots:
        c = [(c[i - 1] if i > 0 else 0) - (a * c[i] if i < len(c) else 0) for i in range(len(c) + 1)]
    return c


def matrices(points):
    b_t, g = [], []
    for a in points:
        others = [p for p in points if p != a]
        scale = np.prod([a - p for p in others])
        b_t.append(from_roots(others) + [Fraction(0)])
        g.append([a**k / scale for k in range(TAPS)])
    b_t.append(from_roots(points))
    g.append([Fraction(0)] * (TAPS - 1) + [Fraction(1)])
    a_t = [[a**i for a in points] + [Fraction(int(i == OUT - 1))] for i in range(OUT)]
    return b_t, g, a_t


def errors(points):
    """Root mean square errors over that of the outputs: filtering, definition."""
    b_t, g, a_t = (np.array(m, dtype=float).astype(np.float32) for m in matrices(points))
    rng = np.random.default_rng(1)
    image = rng.standard_normal((TILES, N, N, CHANNELS)).astype(np.float32)
    weight = rng.standard_normal((TAPS, TAPS, CHANNELS)).astype(np.float32)
    spread = np.einsum("ij,tjkc,lk->ilct", b_t, image, b_t)
    spread_weight = np.einsum("ij,jkc,lk->ilc", g, weight, g)
    product = np.zeros((N, N, TILES), np.float32)
    for c in range(CHANNELS):
        product += spread[:, :, c] * spread_weight[:, :, c, None]
    filtered = np.einsum("ij,jkt,lk->ilt", a_t, product, a_t)
    true, plain = np.zeros(filtered.shape), np.zeros_like(filtered)
    for i, k in np.ndindex(OUT, OUT):
        for y, x, c in np.ndindex(TAPS, TAPS, CHANNELS):
            plain[i, k] += image[:, i + y, k + x, c] * weight[y, x, c]
            true[i, k] += image[:, i + y, k + x, c].astype(float) * float(weight[y, x, c])
    size = np.sqrt(np.mean(true**2))
    return [np.sqrt(np.mean((found - true) ** 2)) / size for found in (filtered, plain)]


for OUT, TAPS in ((2, 5), (4, 3), (2, 3)):
    N = OUT + TAPS - 1
    for text in ("0 1 -1 2 -2", "0 1 -1 1/2 -1/2", "0 1 -1 1/2 -2", "0 1 -1 2 -1/2", "0 1 -1 1/2 -3/2") if N == 6 else ("0 1 -1",):
        points = [Fraction(p) for p in text.split()]
        print("F(%d, %d) points %s: filtering %.1e, definition %.1e" % (OUT, TAPS, text, *errors(points)))
    if N == 6:
        for name, matrix in zip(("B^T", "G", "A^T"), matrices([Fraction(p) for p in "0 1 -1 1/2 -2".split()])):
            print(name, *("  " + " ".join(f"{str(x):>6}" for x in row) for row in matrix), sep="\n")
