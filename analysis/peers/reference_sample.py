#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Silos that rounds draw, by an implementation of its own: tests/unit/sample_reference.h.

Philox4x32-10 after Salmon, Moraes, Dror, Shaw (SC'11), held against a known answer of Random123;
orders made the long way, as lists from which silos are taken out.
Usage: reference_sample.py > tests/unit/sample_reference.h
"""
from math import log1p

M = 0xFFFFFFFF
SAMPLE = 5  # enum gr_purpose
WHOLE = 16384  # GR_SAMPLE_WHOLE_MAX


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & M, (a >> 32) ^ c[3] ^ k[1], a & M]
        k = [(k[0] + 0x9E3779B9) & M, (k[1] + 0xBB67AE85) & M]
    return c


assert philox([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0]) == [
    0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


def words(seed, round_):
    block = 0
    while True:
        yield from philox([block, round_, 0, SAMPLE], [seed & M, seed >> 32])
        block += 1


def below(stream, n):
    high = next(stream)
    return (((high << 32) | next(stream)) * n) >> 64


def order_whole(n, stream):
    """Durstenfeld's shuffle from the end."""
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = below(stream, i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def order_from_front(n, stream, most):
    """Place i gets one of what is in places i to n - 1."""
    order = list(range(n))
    for i in range(min(n, most)):
        j = i + below(stream, n - i)
        order[i], order[j] = order[j], order[i]
    return order[:most]


def arrivals(sizes, stream):
    times = []
    for silo, size in enumerate(sizes):
        high = next(stream)
        u = ((high << 21) | (next(stream) >> 11)) * 2.0**-53
        if size > 0:
            times.append((-log1p(-u) / size, silo))
    return [silo for _, silo in sorted(times)]


def rows(sizes, stream, most):
    """A row of those that are left, each as likely, and its silo."""
    left, out = list(sizes), []
    while sum(left) > 0 and len(out) < most:
        row, silo = below(stream, sum(left)), 0
        while row >= left[silo]:
            row -= left[silo]
            silo += 1
        left[silo] = 0
        out.append(silo)
    return out


def size_of(silo):
    return (silo * silo) % 11 * (1000 if silo % 97 == 0 else 1)


print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Made by analysis/peers/reference_sample.py; do not edit. */")
print("/* clang-format off */")
print("static const struct {\n    enum gr_sampling sampling;\n    uint64_t seed;")
print("    uint32_t n, round, participants, away, silos[40];\n} drawn[] = {")
for by_size in False, True:
    for n in 2, 7, 100, 1000, WHOLE - 1, WHOLE, WHOLE + 1, 50000, 1000000:
        for seed, round_, participants, away in (1, 1, 1, 0), (0x123456789ABCDEF0, 7, 10, 0), (3, 100000, 40, 3):
            if participants >= n:
                continue
            stream = words(seed, round_)
            sizes = [size_of(i) for i in range(n)]
            if by_size and n == 1000000 and participants > 10:
                continue  # takes minutes here
            if by_size:
                order = arrivals(sizes, stream) if n <= WHOLE else rows(sizes, stream, 2 * participants + 20)
            else:
                order = order_whole(n, stream) if n <= WHOLE else order_from_front(n, stream, 2 * participants + 20)
            if away:  # every third is not there
                order = [silo for silo in order if silo % away]
            taken = sorted(order[:participants])
            assert len(taken) == participants or n <= WHOLE
            print("    {%s, %#xu, %u, %u, %u, %u, {%s}}," % (
                "GR_SAMPLING_SIZE" if by_size else "GR_SAMPLING_UNIFORM", seed, n, round_, participants, away,
                ", ".join("%u" % silo for silo in taken)))
print("};")
