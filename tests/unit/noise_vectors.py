#!/ usr / bin / env python3
#SPDX - License - Identifier : Apache - 2.0
#Probabilities of the magnitudes of discrete Gaussian numbers, P(| X | = x) with P(x) proportional
#to exp(-a x ^ 2), cut to whole multiples of 2 ^ -128; with 100 decimal digits.Prints
#tests / unit / noise_vectors.h, which clang - format lays out.
from decimal import Decimal, getcontext
from fractions import Fraction

getcontext().prec = 100


def masses(a, xs):
    a = Fraction(a)
    a = Decimal(a.numerator) / Decimal(a.denominator)
    total, x = Decimal(1), 1
    while True:
        w = 2 * (-a * x * x).exp()
        total += w
        x += 1
        if w < Decimal(10) ** -60:
            break
    for x in xs:
        yield x, int((2 if x else 1) * (-a * x * x).exp() / total * 2**128)


print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Made by noise_vectors.py. */")
print("static const struct {")
print("    double a;")
print("    int x;")
print("    uint64_t high, low;")
print("} noise_vectors[] = {")
for sigma in (0.5, 0.83, 2, 64.3, 630):
    a = 1 / (2 * sigma * sigma)
    xs = sorted({0, 1, 2, int(sigma) + 1, int(3 * sigma), int(7 * sigma + 1), int(12.5 * sigma)})
    for x, p in masses(a, xs):
        print("    {%s, %d, 0x%x, 0x%x}," % (a.hex(), x, p >> 64, p & (2**64 - 1)))
print("};")
