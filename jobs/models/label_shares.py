"""Categories as numbers by what they say of the label: how checks look for a label in disguise among them."""

from __future__ import annotations

import numpy as np

from jobs.arrays import Float32s
from jobs.models.features import FeatureRows, Features
from jobs.stats.category_means import out_of_fold
from jobs.tasks.task import Labels


def with_label_shares(rows: FeatureRows, labels: Labels) -> Float32s:
    """Every category as the share of positives, or the mean of labels, among other rows of its value; missing is a
    value."""
    if not isinstance(rows, Features):
        return rows
    values, ones = rows.values.copy(), np.ones(len(rows))
    for column, texts in rows.texts.items():
        codes = np.where(np.isnan(values[:, column]), len(texts), values[:, column]).astype(np.int64)
        values[:, column] = out_of_fold(codes, labels.astype(np.float64), ones, len(texts) + 1)
    return values
