"""Categories and texts as numbers by what they say of the label: how checks look for a label in disguise among them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jobs.arrays import Float32s
from jobs.models import words
from jobs.models.features import FeatureRows, Features, texts_of, values_of
from jobs.models.protocol import Examples
from jobs.objective import MEAN_ABSOLUTE_ERROR
from jobs.stats.category_means import out_of_fold
from jobs.tasks.regression import Regression
from jobs.tasks.task import Labels


def with_label_shares(rows: FeatureRows, labels: Labels, names: Sequence[str]) -> Float32s:
    """Every category as the share of positives, or the mean of labels, among other rows of its value, where missing is
    a value; of a text what other rows say of its words."""
    if not isinstance(rows, Features):
        return rows
    as_numbers = Examples(rows, labels.astype(np.float64), None, tuple(names), Regression(MEAN_ABSOLUTE_ERROR))
    read = words.learned(as_numbers)[1].features
    values, ones = values_of(read).copy(), np.ones(len(rows))
    for column, texts in texts_of(read).items():
        codes = np.where(np.isnan(values[:, column]), len(texts), values[:, column]).astype(np.int64)
        values[:, column] = out_of_fold(codes, labels.astype(np.float64), ones, len(texts) + 1)
    return values
