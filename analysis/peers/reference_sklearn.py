#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reference numbers of tests/unit/sklearn_reference.h, from scikit-learn and statsmodels in float64.

    analysis/peers/reference_sklearn.py > tests/unit/sklearn_reference.h

The rows are made by formulas whose values float32 holds exactly; tests/unit/test_accumulator.c has the
same. The calibration error of Guo et al. (2017) is not in scikit-learn: it is taken here from the
table that its calibration_curve gives.
"""
import numpy as np
import sklearn
import statsmodels
import statsmodels.api as sm
from scipy import stats
from sklearn import metrics
from sklearn.calibration import calibration_curve

ROWS = 400
BINS = 15


def scores(classes, absent):
    """Logits in 32nds, and labels; `absent` classes at the end have no rows."""
    i, c = np.arange(ROWS)[:, None], np.arange(classes)[None, :]
    z = ((i * 37 + c * 101 + i * c * 13 + (i % 7) * (i % 11) * (c + 1)) % 211 - 105) / 32.0
    i = i[:, 0]
    there = classes - absent
    labels = np.where(i % 5 < 3, z[:, :there].argmax(axis=1), (i * 7 + 3) % there)
    return z, labels


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def log_odds(z):
    out = np.empty_like(z)
    for c in range(z.shape[1]):
        rest = np.delete(z, c, axis=1)
        top = rest.max(axis=1, keepdims=True)
        out[:, c] = z[:, c] - top[:, 0] - np.log(np.exp(rest - top).sum(axis=1))
    return out


def area(z, labels):
    x = log_odds(z)
    if z.shape[1] == 2:
        return metrics.roc_auc_score(labels == 1, x[:, 1])
    return np.mean([metrics.roc_auc_score(labels == c, x[:, c]) for c in np.unique(labels)])


def precision(z, labels):
    x = log_odds(z)
    if z.shape[1] == 2:
        return metrics.average_precision_score(labels == 1, x[:, 1])
    return np.mean([metrics.average_precision_score(labels == c, x[:, c]) for c in np.unique(labels)])


def brier(p, labels):
    if p.shape[1] == 2:
        return metrics.brier_score_loss(labels, p[:, 1])
    return sum(metrics.brier_score_loss(labels == c, p[:, c]) for c in range(p.shape[1]))


def confident(p, labels):
    """Confidence of the largest, whether it is right, and the table of those by bins."""
    score, right = p.max(axis=1), p.argmax(axis=1) == labels
    found, mean = calibration_curve(right, score, n_bins=BINS, strategy="uniform")
    counts = np.histogram(np.ceil(score * BINS) - 1, bins=np.arange(-0.5, BINS))[0]
    table = np.zeros((BINS, 3))
    table[counts > 0] = np.column_stack([counts[counts > 0], mean, found])
    return table


def first(z):
    """Equal scores in the order of classes, where scikit-learn takes the last first."""
    return z - 1e-9 * np.arange(z.shape[1])


def i_less(labels):
    """Fewer of class 1, so that fits start far from where they end."""
    return labels * (np.arange(ROWS) % 9 == 0)


def hosmer_lemeshow(p, labels):
    """Over tenths of the rows, cut at quantiles as R's hoslem.test does; and how many there are."""
    group = np.searchsorted(np.quantile(p, np.arange(1, 10) / 10), p)
    total = 0
    for g in np.unique(group):
        o, e, n = labels[group == g].sum(), p[group == g].sum(), (group == g).sum()
        total += (o - e) ** 2 / (e * (1 - e / n))
    return total, len(np.unique(group))


def emit(name, value):
    print("static const double sklearn_%s = %.17g;" % (name, value))


print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Made by analysis/peers/reference_sklearn.py with scikit-learn %s and statsmodels %s; do not edit. */"
      % (sklearn.__version__, statsmodels.__version__))
print("/* clang-format off */")
for name, classes, absent in (("two", 2, 0), ("four", 4, 0), ("absent", 4, 1)):
    z, labels = scores(classes, absent)
    p = softmax(z)
    predicted = p.argmax(axis=1)
    table = confident(p, labels)
    emit(name + "_accuracy", metrics.accuracy_score(labels, predicted))
    emit(name + "_log_loss", metrics.log_loss(labels, p, labels=range(classes), eps=1e-300))
    emit(name + "_balanced_accuracy", metrics.balanced_accuracy_score(labels, predicted))
    emit(name + "_macro_f1", metrics.f1_score(labels, predicted, average="macro"))
    emit(name + "_matthews", metrics.matthews_corrcoef(labels, predicted))
    emit(name + "_micro_f1", metrics.f1_score(labels, predicted, average="micro"))
    emit(name + "_weighted_f1", metrics.f1_score(labels, predicted, average="weighted"))
    emit(name + "_cohen_kappa", metrics.cohen_kappa_score(labels, predicted))
    emit(name + "_auc", area(z, labels))
    emit(name + "_average_precision", precision(z, labels))
    emit(name + "_brier", brier(p, labels))
    emit(name + "_calibration_error", (table[:, 0] * abs(table[:, 1] - table[:, 2])).sum() / ROWS)
    matrix = metrics.confusion_matrix(labels, predicted, labels=range(classes))
    print("static const int sklearn_%s_confusion[] = {%s};" % (name, ", ".join(map(str, matrix.ravel()))))
    print("static const double sklearn_%s_reliability[] = {" % name)
    for row in table:
        print("    %.17g, %.17g, %.17g," % tuple(row))
    print("};")

z, labels = scores(2, 0)
p, predicted = softmax(z)[:, 1], z.argmax(axis=1)
emit("sensitivity", metrics.recall_score(labels, predicted))
emit("specificity", metrics.recall_score(labels, predicted, pos_label=0))
emit("positive_predictive_value", metrics.precision_score(labels, predicted))
emit("negative_predictive_value", metrics.precision_score(labels, predicted, pos_label=0))
emit("observed_expected", labels.sum() / p.sum())
# Net benefit at 0.10, 0.35 and 0.80 (Vickers and Elkin 2006) from scikit-learn's confusion matrix.
for t in (10, 35, 80):
    (_, wrong), (_, right) = metrics.confusion_matrix(labels, p >= t / 100)
    emit("net_benefit_%d" % t, (right - wrong * (t / 100) / (1 - t / 100)) / ROWS)
x = z[:, 1] - z[:, 0]
for name, y in (("", labels), ("_steep", i_less(labels))):
    line = sm.GLM(y, sm.add_constant(x), family=sm.families.Binomial()).fit(tol=1e-15, maxiter=100)
    shift = sm.GLM(y, np.ones(ROWS), offset=x, family=sm.families.Binomial()).fit(tol=1e-15, maxiter=100)
    emit("calibration_slope" + name, line.params[1])
    emit("calibration_intercept" + name, shift.params[0])
    chi_square, groups = hosmer_lemeshow(p, y)
    emit("hosmer_lemeshow" + name, chi_square)
    emit("hosmer_lemeshow_p" + name, stats.chi2.sf(chi_square, groups))
z, labels = scores(7, 0)
emit("top_3_accuracy", metrics.top_k_accuracy_score(labels, first(z), k=3))
emit("top_5_accuracy", metrics.top_k_accuracy_score(labels, first(z), k=5))

i = np.arange(ROWS)
targets = ((i * 29) % 11) * 1.0
predictions = targets * 0.75 + ((i * 53) % 97 + 1) / 64.0
emit("mse", metrics.mean_squared_error(targets, predictions))
emit("mae", metrics.mean_absolute_error(targets, predictions))
emit("r2", metrics.r2_score(targets, predictions))
emit("poisson_deviance", metrics.mean_poisson_deviance(targets, predictions))
