#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reference for tests/parallel/test_preprocess.c: three silos' tables, and what scikit-learn makes
of all their rows together. Prints the C header tests/parallel/preprocess_reference.h.

    analysis/peers/reference_preprocessing.py > tests/parallel/preprocess_reference.h

Missing numbers are imputed after scaling (scikit-learn's scalers pass NaN over), by the mean, or by
0 where an indicator stands beside. Categories count that some silo has in 5 rows."""
import numpy as np
import sklearn
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

ROWS, THRESHOLD = (40, 25, 31), 5
rng = np.random.default_rng(11)
tables = []
for s, n in enumerate(ROWS):
    a = np.round(rng.normal(1000 * s, 3 + s, n), 3)
    b = np.round(rng.uniform(-4, 14, n), 2)
    c = np.round(rng.normal(-5 * s, 2, n), 2)
    d = np.round(rng.exponential(10 ** s, n), 3)
    k = rng.choice(["A", "B", "C"][: s + 1] + ["D"], n).astype(object)
    k[3] = f"rare{s}"
    g = rng.choice(["x", "y", "z"], n, p=[[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0, 0.9, 0.1]][s]).astype(object)
    g[5] = "w"
    for column, every in ((a, 7), (c, 5), (d, 9)):
        column[s::every] = np.nan
    k[6::11] = None
    g[4::13] = None
    tables.append((a, b, c, d, k, g, np.full(n, 0.05), rng.integers(0, 2, n)))


def whole(i):
    return np.concatenate([t[i] for t in tables])


def number(x):
    return np.float32(x.reshape(-1, 1)).astype(float)


def impute(x):
    return SimpleImputer(strategy="mean").fit_transform(x)


def mode(texts):
    return SimpleImputer(missing_values=None, strategy="most_frequent").fit_transform(texts.reshape(-1, 1))


common = sorted({v for t in tables for v in t[4] if v is not None and np.sum(t[4] == v) >= THRESHOLD})
k = whole(4)
known = np.array([v if v in common else None for v in k], dtype=object)
fill = SimpleImputer(missing_values=None, strategy="most_frequent").fit(known.reshape(-1, 1)).statistics_[0]
hot = OneHotEncoder(categories=[common], handle_unknown="ignore", sparse_output=False)
g = whole(5)
listed = np.array([v if v in "xyz" else None for v in (v or "?" for v in g)], dtype=object)
g_fill = SimpleImputer(missing_values=None, strategy="most_frequent").fit(listed.reshape(-1, 1)).statistics_[0]
code = [["z", "y", "x"].index(v) if v in ("x", "y", "z") else 3 for v in (v or g_fill for v in g)]
c = MinMaxScaler().fit_transform(number(whole(2)))
clipped = np.clip(number(whole(1)), 0, 10)
features = np.hstack([
    impute(StandardScaler().fit_transform(np.clip(number(whole(0)), -1.5, 2001.3))),
    MinMaxScaler().fit(np.array([[0.0], [10.0]])).transform(clipped),
    np.nan_to_num(c, nan=0.0),
    MissingIndicator().fit_transform(c),
    impute(number(whole(3))),
    hot.fit_transform(np.array([v or fill for v in k], dtype=object).reshape(-1, 1)),
    np.array(code, dtype=float).reshape(-1, 1),
    np.zeros((sum(ROWS), 1)),
])


def cell(v):
    return "" if v is None or v != v else f"{v:g}" if isinstance(v, float) and abs(v) < 1e3 else str(v)


print(f"/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by analysis/peers/reference_preprocessing.py "
      f"with scikit-learn {sklearn.__version__}, NumPy {np.__version__}; do not edit. */\n/* clang-format off */")
print(f"enum {{ REFERENCE_WIDTH = {features.shape[1]} }};")
print("static const size_t reference_rows[] = {%s};" % ", ".join(map(str, ROWS)))
print("static const char *const reference_tables[] = {")
for t in tables:
    print('    "a,b,c,d,k,g,same,label\\n"')
    for row in zip(*t):
        print('    "%s\\n"' % ",".join(map(cell, row)))
    print("    ,")
print("};\nstatic const char *const reference_categories[] = {%s};" % ", ".join(f'"{v}"' for v in common))
print("static const double reference_features[] = {")
for row in features:
    print("    " + ", ".join(f"{v:.17g}" for v in row) + ",")
print("};")
