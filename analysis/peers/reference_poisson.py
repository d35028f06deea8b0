#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Poisson regression of all rows of the example in one place, by scikit-learn.

    jobs/make-visits.sh visits && analysis/peers/reference_poisson.py visits/train.csv

The numbers stand in tests/system/test_examples.sh (scikit-learn 1.2.1).
"""
import sys

import pandas
from sklearn.linear_model import PoissonRegressor

table = pandas.read_csv(sys.argv[1])
table["smoker"] = (table["smoker"] == "yes") * 1.0
names = ["log_years", "age", "smoker", "distance"]
fit = PoissonRegressor(alpha=0, tol=1e-12, max_iter=10000).fit(table[names], table["visits"])
print("bias %.6f" % fit.intercept_)
for name, weight in zip(names, fit.coef_):
    print("%s %.6f" % (name, weight))
