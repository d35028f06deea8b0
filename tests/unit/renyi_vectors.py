#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Renyi divergences of whole orders by the binomial sum of Mironov, Talwar, Zhang 2019 (arXiv:
# 1908.10530, section 3.3), with 60 decimal digits. Prints tests/unit/renyi_vectors.h,
# which clang-format lays out.
from decimal import Decimal, getcontext
from math import comb

getcontext().prec = 60


def divergence(z, q, order):
    z, q = Decimal(z), Decimal(q)
    total = sum(
        comb(order, k) * (1 - q) ** (order - k) * q**k * (Decimal(k * k - k) / (2 * z * z)).exp()
        for k in range(order + 1)
    )
    return total.ln() / (order - 1)


print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Made by renyi_vectors.py. */")
print("static const struct {")
print("    double z, q;")
print("    int order;")
print("    double divergence;")
print("} renyi_vectors[] = {")
for z, q in (
    ("2.5", "0.01"),
    ("1", "0.0001"),
    ("10", "0.000001"),
    ("0.1", "0.00001"),
    ("100", "0.999"),
    ("0.5", "0.2"),
    ("0.05", "0.01"),
):
    for order in (2, 3, 5, 27, 100):
        print(f"    {{{z}, {q}, {order}, {divergence(z, q, order):.17g}}},")
print("};")
