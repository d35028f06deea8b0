#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reference numbers of tests/system/test_weights.sh, from scikit-learn and NumPy in float64.

    analysis/peers/reference_weights.py

The rows are made by the formulas of tests/system/weights.awk, whose values float32 holds exactly.
"""
import numpy as np
from sklearn import metrics
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

i = np.arange(300)
a, b = (i * 37 + 11) % 101, (i * 53 + 7) % 89
X = np.stack([(a - 50) / 32, (b - 44) / 32], axis=1)
rare = ((i * 29) % 97 < 3 + 8 * (a > 60) + 6 * (b > 60)).astype(int)
weight = 0.5 + (i % 4) / 2
weight[i % 10 == 9] = 0
offset = ((i * 17) % 23 - 11) / 16
count = (i * 7) % 3 + 2 * (a > 55) + (b > 50) + (offset > 0.3)
real = 3 + X @ [2, -1] + ((i * 31) % 13 - 6) / 8


def show(name, *values):
    print(f"{name:28}", " ".join(f"{float(v):.7f}" for value in values for v in np.ravel(value)))


def logistic(w, off=0.0):
    """Weights and intercept of the weighted logistic regression with an offset, by Newton's steps."""
    D, t = np.column_stack([X, np.ones(len(X))]), np.zeros(3)
    for _ in range(50):
        p = 1 / (1 + np.exp(-(D @ t + off)))
        t -= np.linalg.solve((D * (w * p * (1 - p))[:, None]).T @ D, D.T @ (w * (p - rare)))
    return t


def poisson(w, off):
    """The same of the Poisson regression with the logarithm of an exposure."""
    D, t = np.column_stack([X, np.ones(len(X))]), np.zeros(3)
    for _ in range(100):
        m = np.exp(D @ t + off)
        t -= np.linalg.solve((D * (w * m)[:, None]).T @ D, D.T @ (w * (m - count)))
    return t


def scores(prefix, p, y, w):
    hat = (p > 0.5).astype(int)
    show(prefix + "accuracy", metrics.accuracy_score(y, hat, sample_weight=w))
    show(prefix + "log_loss", metrics.log_loss(y, p, sample_weight=w))
    show(prefix + "auc", metrics.roc_auc_score(y, p, sample_weight=w))
    show(prefix + "brier", metrics.brier_score_loss(y, p, sample_weight=w))
    show(prefix + "balanced_accuracy", metrics.balanced_accuracy_score(y, hat, sample_weight=w))
    show(prefix + "macro_f1", metrics.f1_score(y, hat, average="macro", sample_weight=w))
    show(prefix + "matthews", metrics.matthews_corrcoef(y, hat, sample_weight=w))
    print(prefix + "confusion", metrics.confusion_matrix(y, hat, sample_weight=w).tolist())


plain = LogisticRegression(penalty="none", tol=1e-12, max_iter=10000)
balanced = LogisticRegression(penalty="none", class_weight="balanced", tol=1e-12, max_iter=10000)
print("positives", rare.sum())
fit = plain.fit(X, rare)
show("logistic plain", fit.coef_, fit.intercept_)
fit = balanced.fit(X, rare)
show("logistic balanced", fit.coef_, fit.intercept_)
# A weight counts rows: those of a class are its weights added up.
of_class = np.array([weight[rare == c].sum() for c in (0, 1)])
both = weight * (of_class.sum() / (2 * of_class))[rare]
show("logistic weights balanced", logistic(both))
fit = plain.fit(X, rare, sample_weight=weight)
show("logistic weights", fit.coef_, fit.intercept_)
assert np.allclose(logistic(weight), [*fit.coef_[0], fit.intercept_[0]], atol=1e-4)
t = logistic(both)
p = 1 / (1 + np.exp(-(X @ t[:2] + t[2])))
scores("  its ", p, rare, weight)
t = logistic(weight, offset)
show("logistic weights offset", t)
p = 1 / (1 + np.exp(-(X @ t[:2] + t[2] + offset)))
show("  its log loss", metrics.log_loss(rare, p, sample_weight=weight))

t = poisson(weight, offset)
# scikit-learn has no offset: an exposure e turns counts into rates y/e with weights w e.
e = np.exp(offset)
fit = PoissonRegressor(alpha=0, tol=1e-10, max_iter=10000).fit(X, count / e, sample_weight=weight * e)
assert np.allclose(t, [*fit.coef_, fit.intercept_], atol=1e-4)
show("poisson weights offset", t)
m = np.exp(X @ t[:2] + t[2] + offset)
show("poisson deviance", metrics.mean_poisson_deviance(count, m, sample_weight=weight))
show("poisson mse", metrics.mean_squared_error(count, m, sample_weight=weight))
show("poisson mae", metrics.mean_absolute_error(count, m, sample_weight=weight))
show("poisson r2", metrics.r2_score(count, m, sample_weight=weight))
show("poisson first three", m[:3])

# mean (z - y)^2 + decay / 2 |w|^2 is Ridge's sum (z - y)^2 + alpha |w|^2 with alpha = n decay / 2.
fit = Ridge(alpha=300 * 0.2 / 2, tol=1e-12).fit(X, real)
show("ridge, decay 0.2", fit.coef_, fit.intercept_)
# Of the logistic loss: C = 1 / (n decay).
fit = LogisticRegression(C=1 / (300 * 0.02), tol=1e-12, max_iter=10000).fit(X, rare)
show("logistic l2, decay 0.02", fit.coef_, fit.intercept_)
