"""The returns use case: labels that arrive as return lines, against a brute-force reading of the same lines."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from jobs.lakehouse.tables import attach
from jobs.settings import Settings
from jobs.use_cases.returns import MATURITY, PROBLEM, RETURNS

# One trial shows that the problem as declared can be trained; labels come first.
EARLY_USE_CASE = replace(RETURNS, problem=None)
LATE_USE_CASE = replace(RETURNS, problem=replace(PROBLEM, trials=1))
EARLY, LATE = datetime(2010, 2, 20, tzinfo=UTC), datetime(2010, 3, 10, tzinfo=UTC)


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Every tenth customer of the shop's first hundred days, in a file that has a key of its own."""
    assert RETURNS.default_input is not None
    path = RETURNS.default_input(tmp_path / "shop", None)["lines"]
    shop = pl.read_parquet(path).filter(
        (pl.col("CustomerID") % 10 == 0) & (pl.col("InvoiceDate") < pl.lit(LATE).dt.replace_time_zone(None))
    )
    position = pl.int_range(1, pl.len() + 1).over("InvoiceNo")
    shop.with_columns(pl.concat_str("InvoiceNo", pl.lit("-"), position).alias("LineID")).write_parquet(path)
    return path


def expected(lines: Path, as_of: datetime) -> dict[str, bool]:
    """Label of every purchase that has one at `as_of`: returned if that is known, not returned if it is mature."""
    shop = _shop(lines)
    backs: dict[tuple[int, str], list[datetime]] = {}
    for back in shop.filter(pl.col("Quantity") < 0).iter_rows(named=True):
        backs.setdefault((back["CustomerID"], back["StockCode"]), []).append(back["at"])
    found = {}
    for line in shop.filter((pl.col("Quantity") > 0) & (pl.col("at") <= as_of)).iter_rows(named=True):
        times = backs.get((line["CustomerID"], line["StockCode"]), [])
        if any(line["at"] < t <= min(as_of, line["at"] + MATURITY) for t in times):
            found[line["LineID"]] = True
        elif line["at"] <= as_of - MATURITY:
            found[line["LineID"]] = False
    return found


def test_labels_are_return_lines_once_they_are_known(home: Settings, lines: Path) -> None:
    from orchestration import run_command as run
    from orchestration.error_boundary import NOBODY

    for as_of, use_case in ((EARLY, EARLY_USE_CASE), (LATE, LATE_USE_CASE)):
        # These few lines are too young to learn from: where something is to be learned, nobody goes into production.
        status = NOBODY if use_case.problem else 0
        assert run.run(home, use_case, {"lines": [lines]}, None, as_of, show=False) == status
        rows = attach(home).to_arrow(RETURNS.training_set, columns=["line_id", "is_returned"]).to_pylist()
        found = {row["line_id"]: row["is_returned"] for row in rows}
        wanted = expected(lines, as_of)
        assert found == wanted and len(rows) == len(wanted)
        assert 20 < sum(wanted.values()) < len(wanted) / 4
    known = _known_returns(home, lines)
    assert known["before"].sum() == 0 < known["after"].sum()


def _known_returns(home: Settings, lines: Path) -> dict[str, pl.Series]:
    """Known returns of the buyers' windows, of rows before and after a buyer's first return line."""
    shop = _shop(lines)
    first = shop.filter(pl.col("Quantity") < 0).group_by("CustomerID").agg(back=pl.col("at").min())
    rows = pl.DataFrame(attach(home).to_arrow("returns_features.buyer_windows"))
    rows = rows.join(first, left_on="buyer_id", right_on="CustomerID", how="left")
    before = rows.filter(pl.col("back").is_null() | (pl.col("event_timestamp") < pl.col("back")))
    after = rows.filter(pl.col("event_timestamp") > pl.col("back"))
    return {"before": before["buyer_known_returns_90d"], "after": after["buyer_known_returns_90d"]}


def _shop(lines: Path) -> pl.DataFrame:
    at = pl.col("InvoiceDate").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.read_parquet(lines).with_columns(at=at)
