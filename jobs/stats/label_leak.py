"""Whether rows tell their labels too well: a feature, or a model of all of them, that holds the answer.

No feature known at the time of an event can name its label nearly without error, unless the label is made of it; the
label's own past cannot either, as the events of an entity share most of their past. What tells labels apart that well
was most likely made with them: a column filled in after the fact, a report dated before its event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.arrays import Bools, Floats
from jobs.stats.metrics import auc_roc, average_precision

SINGLE, WHOLE = 0.98, 0.9995
"""Average precision from which on one feature, and a model of all of them, is too good to be true."""
FEWEST_POSITIVES = 30
"""With fewer, chance alone may tell a few rows apart."""
OUTLIERS = 0.02
"""Share of a class that may lie on the wrong side of the gap."""
WORTH_A_LOOK = 0.9
"""No ranking with a smaller area under the curve comes near `SINGLE` where positives are rare."""


@dataclass(frozen=True)
class Suspicion:
    """What is too good to be true: features by name, and the model."""

    features: Mapping[str, float]
    """Average precision of each feature that tells the label by itself."""
    whole: float | None
    """Average precision of the model; None if that was not judged."""

    @property
    def text(self) -> str:
        """What is suspected, and what to do; empty if nothing is."""
        found = [f"{name} alone has average precision {value:.4f}" for name, value in self.features.items()]
        if self.whole is not None and self.whole >= WHOLE:
            found.append(f"the model has average precision {self.whole:.4f}")
        if not found:
            return ""
        return (
            f"too good to be true, most likely a leak of the label: {'; '.join(found)}; look at where these values "
            "come from and at when labels are known, or declare the features in Problem.telling"
        )


def suspicion(
    labels: Bools, features: npt.NDArray[Any], names: Sequence[str], scores: Floats, accepted: Sequence[str] = ()
) -> Suspicion | None:
    """What tells the labels of rows too well; None if there are too few positives, or no negatives, to say.

    Args:
        features: shape (rows, features), missing values NaN.
        scores: of a model, shape (rows,).
        accepted: features that may tell the label; with some, the whole is not judged.
    """
    positives = int(labels.sum())
    if positives < FEWEST_POSITIVES or positives == len(labels):
        return None
    revealing = {name: value for name, value in telling(labels, features, names).items() if name not in accepted}
    return Suspicion(revealing, None if accepted else average_precision(labels, scores))


def telling(labels: Bools, features: npt.NDArray[Any], names: Sequence[str]) -> Mapping[str, float]:
    """Features that tell labels nearly without error by themselves, in either direction or by being missing, and how
    well: average precision."""
    best = {name: _best(labels, features[:, place]) for place, name in enumerate(names)}
    return {name: value for name, value in best.items() if value >= SINGLE}


def _best(labels: Bools, values: npt.NDArray[Any]) -> float:
    missing = np.isnan(values)
    known = np.where(missing, np.nanmin(values, initial=0.0) - 1, values)
    against = np.where(missing, np.nanmax(values, initial=0.0) + 1, values)
    rankings = [known, -against, *([missing.astype(np.float64)] if missing.any() else [])]
    looked_at = [r for r in rankings if auc_roc(labels, r) >= WORTH_A_LOOK and _apart(r[labels], r[~labels])]
    return max((average_precision(labels, ranking) for ranking in looked_at), default=0.0)


def _apart(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> bool:
    """Whether the values of the two classes leave a gap as wide as the middle half of one of them.

    What was made of a label stands apart from what was not. An honest measurement, such as an amount with a limit
    above which all is fraud, has values just below and just above that limit.
    """
    gap = np.quantile(above, OUTLIERS) - np.quantile(below, 1 - OUTLIERS)
    return bool(gap > 0 and gap >= min(_middle_half(above), _middle_half(below)))


def _middle_half(values: npt.NDArray[Any]) -> float:
    return float(np.subtract(*np.quantile(values, (0.75, 0.25))))
