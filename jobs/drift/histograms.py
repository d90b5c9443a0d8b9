"""Daily histograms of features as one value: what the kernel counted, in an array with days, and what to expect of a
day. Counting is in `jobs.drift.drift_kernel`, judging in `jobs.drift.detector`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from jobs.arrays import Floats
from jobs.drift.drift_kernel import COUNTED, MISSING, Edges, counter
from jobs.errors import Invalid

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.lakehouse.tables import Lakehouse

WEEK = 7


@dataclass(frozen=True, eq=False)
class Histograms:
    """Counts of rows; every row of a day is in one bin of each feature."""

    days: tuple[date, ...]
    """Rising; a day without rows is left out."""
    features: tuple[str, ...]
    counts: NDArray[np.int64]
    """Shape (days, features, bins): bins in the order of values, some always empty where a feature has fewer edges
    than another, and missing values last."""

    def __post_init__(self) -> None:
        if self.counts.ndim != 3 or self.counts.shape[:2] != (len(self.days), len(self.features)):
            expected = f"({len(self.days)}, {len(self.features)}, bins)"
            raise Invalid(f"counts: expected shape {expected}, found {self.counts.shape}")
        if list(self.days) != sorted(set(self.days)):
            raise Invalid("days: expected each once, rising; sort them")

    @property
    def rows(self) -> Floats:
        """Shape (days,)."""
        rows: Floats = self.counts[:, 0].sum(axis=-1).astype(np.float64)
        return rows

    @property
    def shares(self) -> Floats:
        """Shape (days, features, bins), of the day's rows."""
        shares: Floats = self.counts / self.rows[:, None, None]
        return shares

    def followed_by(self, later: Histograms) -> Histograms:
        """These days and those of `later`, which holds where both have a day. Raises ValueError on other features."""
        if self.features != later.features or self.counts.shape[2] != later.counts.shape[2]:
            raise Invalid(f"features: expected {self.features}, found {later.features}; count with the same edges")
        new = [n for n, day in enumerate(self.days) if day not in set(later.days)]
        days = np.array([*(self.days[n] for n in new), *later.days])
        order = np.argsort(days)
        counts = np.concatenate([self.counts[new], later.counts])[order]
        return Histograms(tuple(days[order].tolist()), self.features, counts)

    def until(self, last: date, first: date | None = None) -> Histograms:
        """The days up to `last`, from `first` on."""
        positions = [n for n, day in enumerate(self.days) if day <= last and (first is None or day >= first)]
        return Histograms(tuple(self.days[n] for n in positions), self.features, self.counts[positions])


def histograms(counted: pa.Table, edges: Mapping[str, Edges]) -> Histograms:
    """What the kernel gave back (`jobs.drift.drift_kernel.COUNTED`, in any number of batches), added up."""
    table: Any = pl.from_arrow(counted)
    table = table.filter(pl.col("feature").is_in(list(edges)))
    days, features = sorted(table["day"].unique().to_list()), tuple(edges)
    last = max(len(cuts) for cuts in edges.values()) + 1
    position = {name: n for n, name in enumerate(features)}
    counts = np.zeros((len(days), len(features), last + 1), dtype=np.int64)
    of_day = np.searchsorted(np.array(days, dtype="datetime64[D]"), table["day"].to_numpy().astype("datetime64[D]"))
    of_feature = np.array([position[name] for name in table["feature"].to_list()], dtype=np.int64)
    bins = table["bin"].to_numpy()
    np.add.at(counts, (of_day, of_feature, np.where(bins == MISSING, last, bins)), table["rows"].to_numpy())
    return Histograms(tuple(days), features, counts)


def count(lakehouse: Lakehouse, rows: DataFrame, edges: Mapping[str, Edges], day: str) -> Histograms:
    """Histograms of all `rows` by date column `day`, counted and added up in the engine: what comes back is small.

    Raises (in the engine): as `jobs.drift.drift_kernel.counter`.
    """
    from pyspark.sql.pandas.types import from_arrow_schema

    # Only what is counted travels to the kernel.
    columns = rows.select(day, *(f"`{name}`" for name in edges))
    parts = columns.mapInArrow(lakehouse.kernel(counter(edges, day)), from_arrow_schema(COUNTED))
    sums = parts.groupBy("day", "feature", "bin").sum("rows").withColumnRenamed("sum(rows)", "rows")
    return histograms(sums.toArrow(), edges)


def expected(histograms: Histograms, day: date, weeks: int, step: int = -1) -> tuple[Floats, float] | None:
    """What a stable world would show on `day`: the median, by bin, of the same weekday of the nearest `weeks` weeks.

    Like with like, and an odd week among them (a holiday, an outage) does not show.

    Args:
        step: -1 looks at the weeks before `day`, 1 at those after it.

    Returns: shares of shape (features, bins), and how many rows they are made of; None if there are too few weeks.
    """
    positions = {known_day: n for n, known_day in enumerate(histograms.days)}
    far = abs((histograms.days[0 if step < 0 else -1] - day).days) // WEEK if histograms.days else 0
    candidates: Sequence[date] = [day + timedelta(days=step * WEEK * n) for n in range(1, far + 1)]
    places = [positions[other] for other in candidates if other in positions][:weeks]
    if len(places) < weeks:
        return None
    counts = histograms.counts[places]
    rows = counts[:, :1].sum(axis=-1, keepdims=True)
    shares = counts / rows
    middle = np.median(shares, axis=0)
    # Of few rows, spread over many bins, no bin may hold any in most weeks.
    scattered = middle.sum(axis=-1) == 0
    middle[scattered] = shares.mean(axis=0)[scattered]
    return middle / middle.sum(axis=-1, keepdims=True), float(rows.sum())
