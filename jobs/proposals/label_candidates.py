"""Columns that a model could learn to foresee, and columns that tell it, as they are known only afterwards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from jobs.objective import TaskName
from jobs.proposals.column_words import parts_of, speaks_of
from jobs.proposals.table_profile import ColumnProfile, TableProfile
from jobs.proposals.words import AFTERWARDS, LABEL, STRONG_LABEL

TELLS_ALL, TELLS_MUCH = 0.999, 0.9
"""Area under the curve from which on a column counts as known afterwards: by itself, or if its name speaks of it."""
FEWEST_POSITIVES = 10
MOST_CLASSES = 20
_ROWS_FOR_VALUE = 20
NO_WORDS: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


@dataclass(frozen=True, eq=False)
class LabelCandidate:
    """A column as a label: of which task, why, and how likely it is meant."""

    column: ColumnProfile
    task: TaskName
    score: float
    why: str
    true: tuple[str, ...] = ()
    """Words for yes, where the column is a text of two values."""
    false: tuple[str, ...] = ()


def candidates(table: TableProfile) -> list[LabelCandidate]:
    """The likeliest first; those that nothing speaks for are left out."""
    found = [c for n, column in enumerate(table.columns) if (c := _candidate(column, n == len(table.columns) - 1))]
    return sorted((c for c in found if c.score > 0), key=lambda c: -c.score)


def as_label(column: ColumnProfile) -> LabelCandidate | None:
    """A column that a person named; None if no label can be made of it."""
    return _candidate(column, True, named=True)


def _candidate(column: ColumnProfile, is_last: bool, named: bool = False) -> LabelCandidate | None:
    words = (3 if speaks_of(column.name, STRONG_LABEL) else 0) + (1 if speaks_of(column.name, LABEL) else 0)
    afterwards = parts_of(column.name)[-1:] == ["scenario"] or "scenario" in parts_of(column.name)
    score = words + 0.5 * is_last - 3 * afterwards
    if column.kind == "boolean" or (column.kind == "string" and column.distinct == 2):
        return _two_valued(column, score)
    if not named and words < 3:
        return None
    if column.kind in ("integer", "string") and 2 <= column.distinct <= MOST_CLASSES:
        return LabelCandidate(column, "multiclass", score - 1.5, f"{column.distinct} classes")
    if column.kind in ("number", "integer") and column.distinct > MOST_CLASSES:
        return LabelCandidate(column, "regression", score - 2, "a number")
    return None


def _two_valued(column: ColumnProfile, score: float) -> LabelCandidate | None:
    counts = dict(column.frequent)
    if len(counts) < 2:
        return None
    if column.kind == "boolean":
        true, false = NO_WORDS
        positives = int(counts[True])
    else:
        true, false = _words(column)
        positives = int(counts[true[0]])
    rate = positives / column.present
    rare = 1.0 if rate <= 0.2 else 0.5 if rate <= 0.5 else -0.5
    enough = 0.0 if positives >= FEWEST_POSITIVES else -1.0
    why = f"{rate:.2%} true, {positives:,} of {column.present:,} rows"
    return LabelCandidate(column, "binary", score + rare + enough, why, true, false)


def _words(column: ColumnProfile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which of two texts is yes: one that its name or the field speaks of, else the rarer."""
    (more, _), (less, _) = column.frequent[:2]
    spoken_of = {*LABEL, *parts_of(column.name)}
    parts = {str(word): set(parts_of(str(word))) for word in (more, less)}
    yes = [word for word, of_word in parts.items() if of_word & spoken_of and not of_word & {"not", "non", "no"}]
    true = yes[0] if len(yes) == 1 else str(less)
    return (true,), (str(more) if true == str(less) else str(less),)


def truth(label: LabelCandidate) -> pl.Series:
    """The label of the sampled rows as a boolean; null where there is none."""
    values = label.column.sample
    return values if values.dtype == pl.Boolean else values.is_in(list(label.true))


def why_afterwards(column: ColumnProfile, label: LabelCandidate, event_time: ColumnProfile) -> str:
    """Why a column is taken for one that is known only after the event; empty if nothing says so."""
    if column.kind == "timestamp":
        both = pl.DataFrame({"at": column.sample, "event": event_time.sample}).drop_nulls()
        later = both.select((pl.col("at") > pl.col("event")).mean()).item() if both.height else 0
        return f"later than the event in {later:.0%} of its rows" if later >= 0.5 else ""
    if label.task != "binary":
        same = speaks_of(column.name, AFTERWARDS)
        return "its name speaks of what is known afterwards: look at it" if same else ""
    tells = area(column, truth(label))
    if tells >= TELLS_ALL:
        return f"tells the label nearly without error (area under the curve {tells:.4f})"
    if tells >= TELLS_MUCH and speaks_of(column.name, AFTERWARDS):
        return f"its name speaks of what is known afterwards, and it tells the label well ({tells:.3f})"
    return ""


def area(column: ColumnProfile, label: pl.Series) -> float:
    """Area under the curve of the best simple score of a column: its values, its categories, or whether it has any."""
    frame = pl.DataFrame({"x": column.sample, "y": label}).filter(pl.col("y").is_not_null())
    if frame["y"].n_unique() < 2:
        return 0.5
    scores = [pl.col("x").is_null().cast(pl.Float64)]
    if column.kind in ("number", "integer", "boolean"):
        scores.append(pl.col("x").cast(pl.Float64).fill_null(float("-inf")))
    if column.distinct * _ROWS_FOR_VALUE <= frame.height and column.kind in ("string", "integer", "boolean"):
        scores.append(pl.col("y").mean().over("x"))
    return max(_area(frame.select(score).to_series(), frame["y"]) for score in scores)


def _area(score: pl.Series, label: pl.Series) -> float:
    """Of a score or of its opposite, whichever is larger."""
    ranks, yes = score.rank("average").to_numpy(), label.to_numpy().astype(bool)
    positives, negatives = int(yes.sum()), int((~yes).sum())
    found = (float(np.sum(ranks[yes])) - positives * (positives + 1) / 2) / (positives * negatives)
    return max(found, 1 - found)
