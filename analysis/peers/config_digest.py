#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A config's digest, computed outside of granary, for tests/unit/test_config_text.c.

    granary validate CONFIG --resolved | analysis/peers/config_digest.py src/config/defaults.c

BLAKE2b-256 over the settings in the order of the table in defaults.c, without those marked CHANGEABLE
and those at their default:
path and a NUL; then "t", length, ":" and the text of a value, or "l", count, ":" and the values of
a list (for sections "s", count, ":" and their values). Python 3.11, PyYAML 6.0."""
import hashlib
import re
import sys

import yaml

table = open(sys.argv[1]).read()
table = table[table.index("gr_settings[] = {"):]
table = table[:table.index("\n};")]
rows = re.findall(r'\{\.path = "([^"]+)"(.*?)\},\n', table, re.S)
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


for path, rest in rows:
    if "CHANGEABLE" in rest or "[]" in path:  # the list as a whole has its entries
        continue
    value = config
    for key in path.split("."):
        value = value[key]
    standard = re.search(r'\.standard = "([^"]*)"', rest)
    if "REQUIRED" not in rest and value == (standard.group(1) if standard else [] if isinstance(value, list) else ""):
        continue
    digest.update(path.encode() + b"\0")
    add(value)
print(digest.hexdigest())
