"""Whether rows tell their labels too well: a feature, or a model of all of them, that holds the answer.

No feature known at the time of an event can name its label nearly without error, unless the label is made of it; the
label's own past cannot either, as the events of an entity share most of their past. What tells labels apart that well
was most likely made with them: a column filled in after the fact, a report dated before its event.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from jobs.arrays import Bools, Floats
from jobs.stats.chance_errors import OtherFeatures
from jobs.stats.class_gap import telling_precision
from jobs.stats.metrics import average_precision
from jobs.stats.pair_leak import telling_pairs

WHOLE = 0.9995
"""Average precision from which on a model of all features is too good to be true."""
FEWEST_POSITIVES = 30
"""With fewer, chance alone may tell a few rows apart."""


@dataclass(frozen=True)
class Suspicion:
    """What is too good to be true: features by name, and the model."""

    features: Mapping[str, float]
    """Average precision of each feature that tells the label by itself."""
    pairs: Mapping[str, float]
    """The same of pairs of features that tell it together, as `A and B`."""
    whole: float | None
    """Average precision of the model; None if that was not judged."""
    encoded: Mapping[str, str] = field(default_factory=dict)
    """Features that are averaged labels of entities, and the entity whose."""

    @property
    def text(self) -> str:
        """What is suspected, and what to do; empty if nothing is."""
        found = [f"{name} alone has average precision {value:.4f}" for name, value in self.features.items()]
        found += [f"{name} together have average precision {value:.4f}" for name, value in self.pairs.items()]
        found += [
            f"{name} is one value for all rows of a {entity}, or for all of one label, and tells which have positives"
            for name, entity in self.encoded.items()
        ]
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
    revealing = telling(labels, features, names)
    others = [place for place, name in enumerate(names) if name not in {*revealing, *accepted}]
    pairs = telling_pairs(labels, features[:, others], [names[place] for place in others])
    alone = {name: value for name, value in revealing.items() if name not in accepted}
    return Suspicion(alone, pairs, None if accepted else average_precision(labels, scores))


def telling(labels: Bools, features: npt.NDArray[Any], names: Sequence[str]) -> Mapping[str, float]:
    """Features that tell labels nearly without error by themselves, in either direction or by being missing, and how
    well: average precision."""
    others = OtherFeatures(labels, features)
    best = {name: _best(labels, features[:, place], others) for place, name in enumerate(names)}
    return {name: value for name, value in best.items() if value}


def _best(labels: Bools, values: npt.NDArray[Any], others: OtherFeatures) -> float:
    missing = np.isnan(values)
    known = np.where(missing, np.nanmin(values, initial=0.0) - 1, values)
    against = np.where(missing, np.nanmax(values, initial=0.0) + 1, values)
    rankings = [known, -against, *([missing.astype(np.float64)] if missing.any() else [])]
    return max(telling_precision(labels, ranking.astype(np.float64), others) for ranking in rankings)
