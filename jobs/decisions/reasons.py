"""Why an event got its score, in words: what each feature adds to it, measured by leaving that feature out.

A feature that is left out is missing to the model, as all graphs here take missing values. The effects of features
that say the same are split between none of them, so they are reasons and no sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from jobs.data_dictionary.event_columns import column_meaning
from jobs.data_dictionary.profile_features import of_profiles
from jobs.data_dictionary.window_features import window_features
from jobs.decisions.feature_row import FeatureRow, Row
from jobs.models.vectors import columns_of

TOP = 5


class Reason(msgspec.Struct):
    """One feature and what it does to a score."""

    feature: str
    value: Any
    effect: float
    """The score less the score without the feature."""
    text: str


def meanings(rows: FeatureRow) -> dict[str, str]:
    """A sentence for every value of a row."""
    use_case = rows.use_case
    found = {name: column_meaning(use_case, name).sentence for name in rows.names}
    declared = {**window_features(use_case), **of_profiles(use_case)}
    found |= {name: meaning.sentence for name, meaning in declared.items()}
    for function in (*use_case.computed_online, *use_case.request_features):
        found |= function.outputs
    return found


def reasons(
    rows: FeatureRow,
    row: Row,
    features: Sequence[str],
    score: Callable[[Sequence[Row]], Sequence[float]],
    texts: Mapping[str, str],
) -> list[Reason]:
    """The features that move the score most, the largest effect first.

    Args:
        features: names that the model reads.
        score: scores of rows.
        texts: `meanings`.
    """
    names = [name for name in columns_of(features) if row[rows.place(name)] is not None]
    without = []
    for name in names:
        changed = list(row)
        changed[rows.place(name)] = None
        without.append(changed)
    whole, *others = score([row, *without])
    found = [
        Reason(name, row[rows.place(name)], whole - other, _text(texts[name], row[rows.place(name)], whole - other))
        for name, other in zip(names, others, strict=True)
    ]
    found.sort(key=lambda reason: -abs(reason.effect))
    return [reason for reason in found[:TOP] if reason.effect]


def _text(meaning: str, value: Any, effect: float) -> str:
    shown = f"{value:,.6g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)[:80]
    moves = "raises" if effect > 0 else "lowers"
    return f"{meaning.removesuffix('.')}: {shown}; this {moves} the score by {abs(effect):.3g}."
