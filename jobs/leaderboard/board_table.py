"""The board as a table, `{use_case}_monitoring.leaderboard`: a row per model, replaced by each new board.

What a board is made of is in `jobs.leaderboard.board`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from jobs.display import span
from jobs.lakehouse.tables import Lakehouse
from jobs.leaderboard.standings import Standing
from jobs.use_case import UseCase

MOMENT = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    {
        "place": pa.int64(),
        "model": pa.string(),
        "role": pa.string(),
        "model_version": pa.int64(),
        "family": pa.string(),
        "objective": pa.string(),
        "value": pa.float64(),
        "lower": pa.float64(),
        "upper": pa.float64(),
        "gain": pa.float64(),
        "gain_lower": pa.float64(),
        "gain_upper": pa.float64(),
        "rows": pa.int64(),
        "rows_since": MOMENT,
        "rows_until": MOMENT,
        "trained_as_of": MOMENT,
        "learned_until": MOMENT,
        "training_seconds": pa.float64(),
        "microseconds_per_row": pa.float64(),
        "request_milliseconds": pa.float64(),
        "sha256": pa.string(),
        "note": pa.string(),
    }
)
DESCRIPTIONS = {
    "place": "Place by the objective, 1 is best; null: the model was not measured, and `note` says why.",
    "model": "Name of the model: a version of the registry, a family that lost, or a baseline.",
    "role": "What it is: champion, former champion, candidate, family or baseline.",
    "model_version": "Version in the registry; null: it is not registered.",
    "family": "Family of the model; null of a constant.",
    "objective": "Name of the objective that models are compared by.",
    "value": "The objective on the latest mature rows.",
    "lower": "Lower end of a 95 % interval around `value`.",
    "upper": "Upper end of that interval.",
    "gain": "What it is better by than the champion in the objective; below 0, what it is worse by.",
    "gain_lower": "Lower end of the interval around `gain`; the intervals of all models hold together with 95 %.",
    "gain_upper": "Upper end of that interval.",
    "rows": "Number of rows that it was measured on.",
    "rows_since": "Time after which these rows begin, in UTC.",
    "rows_until": "Time of the latest of these rows, in UTC.",
    "trained_as_of": "The moment that its training knew the world at, in UTC.",
    "learned_until": "Time of the latest event that it may have learned from, in UTC.",
    "training_seconds": "Seconds that it took to fit; null: they were not recorded.",
    "microseconds_per_row": "Microseconds of a prediction, of many rows in one call.",
    "request_milliseconds": "Milliseconds of a prediction of a single row, at the 99th percentile.",
    "sha256": "Hash of its bundle; null of a constant.",
    "note": "What is to be known of it, such as why it was not measured; empty if nothing is.",
}
_FIELDS = tuple(Standing.__dataclass_fields__)


@dataclass(frozen=True)
class Board:
    """A leaderboard: standings, the best first, those that were not measured last."""

    standings: tuple[Standing, ...]
    about: Mapping[str, Any]
    """As JSON holds it: `as_of`, `objective`, its `words`, `greater_is_better`, `start` and `end` of the `rows`, how
    many of these are `evidence`, `rows_version` of the training set, and `notes`."""
    digest: str
    """Of rows and models: the same digest is the same board."""

    @property
    def champion(self) -> Standing | None:
        return next((each for each in self.standings if each.role == "champion"), None)

    def lines(self) -> list[dict[str, str]]:
        """How good each model is, as people read it: a line each, within 80 columns."""
        return [
            {
                "": str(each.place or ""),
                "model": _name(each),
                "role": each.role.removesuffix(" champion"),
                "value": _figure(each.value),
                "95 % interval": "" if each.lower is None else f"{_figure(each.lower)}–{_figure(each.upper)}",
                "to champion": _gain(each),
            }
            for each in self.standings
        ]

    def costs(self) -> list[dict[str, str]]:
        """What each model took to train and takes to predict, and what it learned from."""
        return [
            {
                "model": _name(each),
                "trained": _day(each.trained_as_of),
                "data until": _day(each.learned_until),
                "training": "" if each.training_seconds is None else span(each.training_seconds),
                "µs/row": _figure(each.microseconds_per_row),
                "ms/request": _figure(each.request_milliseconds),
            }
            for each in self.standings
        ]


def _name(standing: Standing) -> str:
    """With the family where that is not the name itself."""
    family = standing.family if standing.model_version is not None else None
    return f"{standing.model}, {family}" if family else standing.model


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _gain(standing: Standing) -> str:
    """The gain and half the length of its interval, which is as far to both sides."""
    if standing.gain is None or standing.gain_upper is None:
        return ""
    return f"{standing.gain:+.2g} ±{standing.gain_upper - standing.gain:.2g}"


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""


def table(use_case: UseCase) -> str:
    return f"{use_case.name}_monitoring.leaderboard"


def record(lakehouse: Lakehouse, use_case: UseCase, board: Board) -> bool:
    """Store a board in place of the last one; False: the stored one is of a later moment, and stays."""
    name = table(use_case)
    with lakehouse.lock(name):
        last = lakehouse.state(name)
        if last.get("digest") == board.digest:
            return True
        if last and datetime.fromisoformat(last["about"]["as_of"]) > datetime.fromisoformat(board.about["as_of"]):
            return False
        window = {f"rows_{end}": datetime.fromisoformat(board.about[key]) for end, key in _ENDS.items()}
        more = {"objective": board.about["objective"], **window}
        rows = pa.Table.from_pylist([{**asdict(each), **more} for each in board.standings], schema=SCHEMA)
        state = {"digest": board.digest, "about": dict(board.about)}
        lakehouse.write(name, rows, mode="overwrite", schema=SCHEMA, state=state)
    return True


_ENDS = {"since": "start", "until": "end"}


def read(lakehouse: Lakehouse, use_case: UseCase) -> Board | None:
    """The stored board; None if there is none."""
    name = table(use_case)
    state = lakehouse.state(name)
    if not {"digest", "about"} <= state.keys():
        return None
    rows = lakehouse.to_arrow(name, columns=list(_FIELDS)).to_pylist()
    standings = sorted((Standing(**row) for row in rows), key=lambda each: each.place or len(rows) + 1)
    return Board(tuple(standings), state["about"], state["digest"])
