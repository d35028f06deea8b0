#!/usr/bin/env python3
"""The scores that tests/system/test_guess.sh expects of schemas as they are proposed: scikit-learn's
logistic and linear regression on the same rows, with one-hot categories and standardised numbers.

    tests/system/messy.sh KIND 3000 11 >train; tests/system/messy.sh KIND 2000 77 >test
    analysis/peers/reference_guess.py KIND train test

Prints the AUC of the test rows, or R2 for air. What a person would do by hand: missing words named,
mean and mode for what is missing, an indicator where that is more than a tenth.
"""
import sys

import pandas
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

READ = {
    "adult": dict(skipinitialspace=True, na_values="?"),
    "bank": dict(sep=";"),
    "german": dict(sep=" ", header=None),
    "air": dict(sep=";", decimal=",", na_values=["-200", "-200,0"]),
}
LABEL = {"adult": "income", "bank": "y", "german": 9, "air": "CO(GT)"}
EVENT = {"adult": ">50K", "bank": "yes", "german": 2}


def read(kind, path):
    table = pandas.read_csv(path, keep_default_na=True, **READ[kind])
    if kind == "bank":
        table["pdays"] = table["pdays"].replace(999, float("nan"))
    if kind == "air":
        table = table.drop(columns=["Date", "Time"] + [c for c in table if c.startswith("Unnamed")])
    table = table.dropna(subset=[LABEL[kind]])
    y = table.pop(LABEL[kind])
    return table, (y if kind == "air" else (y == EVENT[kind]).astype(int))


def main():
    kind = sys.argv[1]
    x, y = read(kind, sys.argv[2])
    x_test, y_test = read(kind, sys.argv[3])
    x.columns = x_test.columns = [str(c) for c in x.columns]
    words = [c for c in x if x[c].dtype == object]
    numbers = [c for c in x if c not in words]
    often = [c for c in numbers if x[c].isna().mean() > 0.1]
    seldom = [c for c in numbers if c not in often]
    prepare = ColumnTransformer([
        ("words", make_pipeline(SimpleImputer(strategy="most_frequent"),
                                OneHotEncoder(handle_unknown="ignore")), words),
        ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), seldom),
        ("gaps", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), often)])
    if kind == "air":
        model = make_pipeline(prepare, LinearRegression()).fit(x, y)
        print("%s R2 %.4f" % (kind, r2_score(y_test, model.predict(x_test))))
        return
    model = make_pipeline(prepare, LogisticRegression(C=1e4, max_iter=5000)).fit(x, y)
    print("%s AUC %.4f" % (kind, roc_auc_score(y_test, model.predict_proba(x_test)[:, 1])))


main()
