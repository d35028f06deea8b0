#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A config's digest, computed outside of granary, for tests/unit/test_config_text.c.

    granary validate CONFIG --resolved | \\
        analysis/peers/config_digest.py include/granary/settings.h src/strategy/*.c

BLAKE2b-256 over the settings in the order of the rows of settings.h, without those marked
CHANGEABLE and those at their default:
path and a NUL; then "t", length, ":" and the text of a value, or "l", count, ":" and the values of
a list (for sections "s", count, ":" and their values). Python 3.11, PyYAML 6.0."""
import hashlib
import re
import sys

import yaml

text = re.sub(r"/\*.*?\*/", "", open(sys.argv[1]).read().replace("\\\n", " "), flags=re.S)
lists = {name: re.findall(r"X##_(\w+)\(in, ([^)]*)\)", rows)
         for name, rows in re.findall(r"#define (GR_\w+_KEYS)\(X, in\)(.*)", text)}
# The defaults of the settings that strategies bring.
strategies = dict(re.findall(r'\.name = "(\w+)",\s*\.standard = "([^"]*)"',
                             "".join(open(name).read() for name in sys.argv[2:])))
# Words in front of a row's default.
BEFORE = {"ONE_OF": 3, "LAYER": 2, "WHOLES": 2, "TEXTS": 2}


def rows_of(keys, path):
    """The path, default and flags of each key of a list; lists' entries are left out."""
    for kind, row in lists[keys]:
        part = [p.strip() for p in row.split(",")]
        if kind in ("PART", "SECTION"):
            yield from rows_of(part[2], path + part[0] + ".")
        elif kind == "STRATEGY":  # in the order in which --resolved has them
            for key in config[part[0]]:
                yield path + part[0] + "." + key, strategies.get(key, "fedavg"), "DECIDES"
        elif kind in ("PARTS", "SECTIONS"):
            yield path + part[0], None, part[4]
        else:
            at = BEFORE.get(kind, 1)
            yield path + part[0], None if part[at] == "NULL" else part[at].strip('"'), part[at + 1]


config = yaml.load(sys.stdin, yaml.BaseLoader)
digest = hashlib.blake2b(digest_size=32)


def add(value):
    if isinstance(value, dict):
        digest.update(b"s%d:" % len(value))
        for part in value.values():
            add(part)
    elif isinstance(value, list):
        digest.update(b"l%d:" % len(value))
        for part in value:
            add(part)
    else:
        text = value.encode()
        digest.update(b"t%d:" % len(text) + text)


for path, standard, flags in rows_of("GR_CONFIG_KEYS", ""):
    if "CHANGEABLE" in flags:
        continue
    value = config
    for key in path.split("."):
        value = value[key]
    if "REQUIRED" not in flags and value == (standard if standard else [] if isinstance(value, list) else ""):
        continue
    digest.update(path.encode() + b"\0")
    add(value)
print(digest.hexdigest())
