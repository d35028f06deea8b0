#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Digests of tests/unit/test_config_text.c (known_digests), from Python's hashlib over what
`granary validate --resolved` prints and the settings that src/config/schema.c does not call
CHANGEABLE. Needs Debian's python3-yaml.

    analysis/peers/reference_digests.py build/release/granary
"""
import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

SCHEMA = pathlib.Path(__file__).parents[2] / "src/config/schema.c"
CONFIGS = [
    "run: {rounds: 2}\ndata: {source: synthetic, silos: 3}\nmodel: {type: softmax}\n"
    "train: {learning_rate: 0.1, batch_size: 4}\n",
    "run: {rounds: 9, seed: 7}\ndata: {source: hdf5, silo_tables: [{file: a}, {file: b}]}\n"
    "model: {type: mlp, hidden: [8, 9]}\ntrain: {learning_rate: 1e-4, batch_size: 4}\n",
]


def settings():
    text = SCHEMA.read_text()
    table = text[text.index("const struct gr_setting gr_settings[] = {"):]
    table = table[:table.index("\n};")] + "\n    {"
    entries = re.findall(r'\{\.path = "([^"]+)"(.*?)\},?\n(?=    (?:\{|/\*))', table, re.S)
    return [path for path, rest in entries if "CHANGEABLE" not in rest]


def add(digest, node):
    if isinstance(node, dict):
        digest.update(b"s%d:" % len(node))
        for value in node.values():
            add(digest, value)
    elif isinstance(node, list):
        digest.update(b"l%d:" % len(node))
        for value in node:
            add(digest, value)
    else:
        text = node.encode()
        digest.update(b"t%d:" % len(text) + text)


for config in CONFIGS:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(config)
        file.flush()
        command = [sys.argv[1], "validate", "--resolved", file.name]
        tree = yaml.load(subprocess.run(command, capture_output=True, text=True).stdout, yaml.BaseLoader)
    digest = hashlib.blake2b(digest_size=32)
    for path in settings():
        node = tree
        for key in path.split("."):
            node = node[key]
        digest.update(path.encode() + b"\0")
        add(digest, node)
    print(digest.hexdigest())
