# SPDX-License-Identifier: Apache-2.0
# Makes shamir_vectors.h: secrets and shares over GF(2^8) by tables of logarithms, for
# test_shamir.c. python3 tests/unit/shamir_vectors.py > tests/unit/shamir_vectors.h
import random

power, logarithm = [1] * 255, {1: 0}
for i in range(1, 255):
    a = power[i - 1]
    a = a ^ (a << 1)  # times 3
    power[i] = a ^ 0x11B if a & 0x100 else a
    logarithm[power[i]] = i
assert len(logarithm) == 255


def times(a, b):
    return 0 if 0 in (a, b) else power[(logarithm[a] + logarithm[b]) % 255]


assert times(0x57, 0x83) == 0xC1  # FIPS 197, 4.2


def value(polynomial, x):
    total, x_to = 0, 1
    for coefficient in polynomial:
        total ^= times(coefficient, x_to)
        x_to = times(x_to, x)
    return total


draw = random.Random(16)
print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Made by shamir_vectors.py. */")
print("static const struct {\n    uint32_t n;\n    uint32_t numbers[8];\n    const char *secret, *shares[8];\n} vectors[] = {")
for threshold, numbers in ((1, [200]), (2, [0, 1]), (2, [254, 7]), (3, [2, 0, 1]), (5, [9, 63, 31, 254, 0]), (8, [8, 7, 6, 5, 4, 3, 2, 1])):
    polynomials = [[draw.randrange(256) for _ in range(threshold)] for _ in range(32)]
    secret = bytes(p[0] for p in polynomials).hex()
    shares = [bytes(value(p, x + 1) for p in polynomials).hex() for x in numbers]
    print("    {%d, {%s}, \"%s\", {%s}}," % (threshold, ", ".join(map(str, numbers)), secret, ", ".join('"%s"' % s for s in shares)))
print("};")
