"""What a raw table holds of each day, as one number: days that a file repeats exactly need not be read again.

Only a memory, bound to the table's last load: without it, or after a restore, days are compared row by row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from jobs.state_files import read_memory, replace_json

EVENT_DATE = "event_date"
_SEED = 20180401
_MODULUS = 1 << 64
Digest = tuple[int, int]
"""Number of rows, and the sum of their hashes modulo 2**64: the same for the same rows in any order."""


@dataclass(frozen=True)
class Digests:
    """Digests of the days of a table after its load number `loaded_in`."""

    loaded_in: int
    days: Mapping[date, Digest]
    complete: bool
    """Days that are not listed have no rows; otherwise nothing is known about them."""

    def of(self, day: date) -> Digest | None:
        return self.days.get(day, (0, 0) if self.complete else None)

    def replaced(self, days: Iterable[date], digests: Mapping[date, Digest]) -> "Digests":
        """With what was found by reading `days`."""
        return Digests(self.loaded_in, {**self.days, **{d: digests.get(d, (0, 0)) for d in days}}, self.complete)

    def after(self, loaded_in: int, added: Mapping[date, Digest]) -> "Digests":
        """After a load that added rows; a day of which nothing was known stays unknown."""
        days = dict(self.days)
        for day, (rows, total) in added.items():
            if (before := self.of(day)) is not None:
                days[day] = (before[0] + rows, (before[1] + total) % _MODULUS)
        return Digests(loaded_in, days, self.complete)


def digest(rows: pl.DataFrame, content: Sequence[str]) -> dict[date, Digest]:
    """Digest of the `content` of the rows of each event date."""
    hashes = rows.select(content).hash_rows(seed=_SEED)
    # Summed in halves, as a sum of 64-bit numbers has nowhere to carry to.
    halves = pl.DataFrame({EVENT_DATE: rows[EVENT_DATE], "high": hashes // 2**32, "low": hashes % 2**32})
    sums = halves.group_by(EVENT_DATE).agg(pl.len(), pl.col("high", "low").sum())
    return {day: (n, ((high << 32) + low) % _MODULUS) for day, n, high, low in sums.iter_rows()}


def read(path: Path, table_id: str, loaded_in: int, content: Sequence[str]) -> Digests | None:
    """The digests stored at `path`, if they are those of the table `table_id` after its load `loaded_in`."""
    return read_memory(path, lambda stored: _digests(stored, table_id, loaded_in, content))


def _digests(stored: Any, table_id: str, loaded_in: int, content: Sequence[str]) -> Digests | None:
    if [stored["table"], stored["loaded_in"], stored["content"], stored["polars"]] != [
        table_id, loaded_in, list(content), pl.__version__
    ]:  # fmt: skip
        return None
    days = {date.fromisoformat(day): (n, total) for day, (n, total) in stored["days"].items()}
    return Digests(loaded_in, days, stored["complete"])


def write(path: Path, table_id: str, digests: Digests, content: Sequence[str]) -> None:
    days = {day.isoformat(): list(day_digest) for day, day_digest in sorted(digests.days.items())}
    stored = {
        "table": table_id,
        "loaded_in": digests.loaded_in,
        "content": list(content),
        # Its hashes may differ between versions.
        "polars": pl.__version__,
        "complete": digests.complete,
        "days": days,
    }
    replace_json(path, stored)
