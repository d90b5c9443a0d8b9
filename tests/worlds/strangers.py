"""Files of strangers: the same small shop's payments with other names, languages, formats and dirt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

FIRST, DAYS, ROWS = datetime(2026, 1, 1, tzinfo=UTC), 60, 3_000


def payments(rows: int = ROWS, days: int = DAYS, seed: int = 1) -> pl.DataFrame:
    """Payments with a fraud that amount and shop speak for: key, time, card, shop, amount, kind, fraud, seen."""
    chance = np.random.default_rng(seed)
    seconds = np.sort(chance.uniform(0, days * 86_400, rows)).astype(int)
    card, shop = chance.integers(0, rows // 30, rows), chance.integers(0, 40, rows)
    amount = chance.gamma(2, 40, rows).round(2) + 0.01
    fraud = chance.random(rows) < 1 / (1 + np.exp(7 - amount / 25 - 3 * (shop < 3)))
    times = [FIRST + timedelta(seconds=int(s)) for s in seconds]
    return pl.DataFrame(
        {
            "key": np.arange(rows) + 100_000,
            "time": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "card": card + 5_000,
            "shop": [f"S{n:03d}" for n in shop],
            "amount": amount,
            "kind": chance.choice(["web", "shop", "phone"], rows),
            "fraud": fraud,
        }
    )


def named(frame: pl.DataFrame, **names: str) -> pl.DataFrame:
    """The columns that have a name, under it."""
    return frame.select(pl.col(old).alias(new) for old, new in names.items())


def german(folder: Path) -> Path:
    """Semicolons, decimal commas, points between thousands, days first, ja and nein, cp1252."""
    frame = named(payments(), key="Buchungsnr", time="Buchungszeit", card="Kartennummer", shop="Händler",
                  amount="Betrag", kind="Art", fraud="Betrugsfall")  # fmt: skip
    amount = pl.Series("Betrag", [f"{v * 20:,.2f}".translate(str.maketrans(",.", ".,")) for v in frame["Betrag"]])
    text = frame.with_columns(
        pl.col("Buchungszeit").dt.strftime("%d.%m.%Y %H:%M:%S"),
        amount,
        pl.when("Betrugsfall").then(pl.lit("ja")).otherwise(pl.lit("nein")).alias("Betrugsfall"),
        pl.lit("Köln").alias("Ort"),
    )
    path = folder / "umsätze.csv"
    path.write_bytes(text.write_csv(separator=";").encode("cp1252"))
    return path


def spanish(folder: Path) -> Path:
    """JSON Lines with seconds since 1970, sí and no, and words for no value."""
    frame = named(payments(), key="id_operacion", time="fecha", card="tarjeta", shop="comercio", amount="importe",
                  kind="canal", fraud="fraude")  # fmt: skip
    frame = frame.with_columns(
        pl.col("fecha").dt.epoch("s"),
        pl.when("fraude").then(pl.lit("sí")).otherwise(pl.lit("no")).alias("fraude"),
        pl.when(pl.int_range(pl.len()) % 50 == 0).then(pl.lit("N/A")).otherwise("canal").alias("canal"),
    )
    frame.write_ndjson(folder / "operaciones.jsonl")
    return folder / "operaciones.jsonl"


def american(folder: Path) -> Path:
    """Months first, a clock of twelve hours, Y and N, a report date, a column that tells the label, no key."""
    frame = named(payments(), time="Purchase Date", card="Cust ID", shop="Merchant", amount="Total ($)",
                  kind="Type", fraud="Chargeback?")  # fmt: skip
    frame = frame.with_columns(
        pl.when("Chargeback?").then(pl.col("Purchase Date").dt.offset_by("5d")).alias("Reported On"),
        pl.when("Chargeback?").then(pl.lit("C4")).otherwise(pl.lit("none given")).alias("Reason"),
    ).with_columns(
        pl.col("Purchase Date").dt.strftime("%m/%d/%Y %I:%M:%S %p"),
        pl.col("Reported On").dt.strftime("%m/%d/%Y %I:%M:%S %p"),
        pl.when("Chargeback?").then(pl.lit("Y")).otherwise(pl.lit("N")).alias("Chargeback?"),
    )
    frame.write_csv(folder / "purchases 2026.csv", separator="\t")
    return folder / "purchases 2026.csv"


def russian(folder: Path) -> Path:
    """Names in another script, a parquet file, labels of 0 and 1, missing values."""
    frame = named(payments(), key="номер", time="время", card="карта", shop="магазин", amount="сумма",
                  fraud="мошенничество")  # fmt: skip
    rows = pl.int_range(pl.len())
    frame = frame.with_columns(
        pl.col("мошенничество").cast(pl.Int8), pl.when(rows % 40 != 0).then("сумма").alias("сумма")
    )
    frame.write_parquet(folder / "оплата.parquet")
    return folder / "оплата.parquet"


def awkward(folder: Path) -> Path:
    """Words of Python, SQL and of our own tables as names, a column without a name, quotes in a value."""
    frame = named(payments(), key="version", time="timestamp", card="from", shop="order", amount="known_at",
                  kind="event_date", fraud="class")  # fmt: skip
    frame = frame.with_columns(pl.lit('said "no"').alias('a "name"')).with_row_index("")
    frame.write_csv(folder / "select.csv")
    return folder / "select.csv"


def classes(folder: Path) -> Path:
    """A label of several classes, dates without a time, each event a line of a category."""
    frame = named(payments(), key="ticket_id", time="opened", card="customer", kind="target", amount="hours")
    frame.with_columns(pl.col("opened").dt.strftime("%Y-%m-%d")).write_csv(folder / "tickets.csv")
    return folder / "tickets.csv"


def unlabelled(folder: Path) -> Path:
    """Events without anything that looks like a label."""
    named(payments(), key="order_id", time="ordered_at", card="customer_id", amount="amount").write_parquet(
        folder / "orders.parquet"
    )
    return folder / "orders.parquet"


def elapsed(folder: Path) -> Path:
    """Seconds since the first row, no key, nobody that comes back, a class of 0 and 1."""
    frame = named(payments(days=2), time="Time", amount="Amount", fraud="Class")
    seconds = (pl.col("Time") - FIRST).dt.total_seconds().cast(pl.Float64)
    chance = np.random.default_rng(2)
    frame = frame.with_columns(seconds, pl.col("Class").cast(pl.Int8), V1=chance.normal(size=ROWS))
    frame.write_csv(folder / "creditcard.csv")
    return folder / "creditcard.csv"


def from_pandas(folder: Path) -> Path:
    """Integers with a decimal point beside missing ones, an index without a name, True and False, odd values."""
    frame = named(
        payments(), key="order_no", time="order_date", card="customer_id", amount="price", fraud="is_returned"
    )
    rows = pl.int_range(pl.len())
    frame = frame.with_columns(
        pl.when(rows % 25 != 3).then(pl.col("customer_id").cast(pl.Float64)).alias("customer_id"),
        pl.when(rows % 500 == 7).then(pl.lit("?")).otherwise(pl.col("price").cast(pl.String)).alias("price"),
        pl.when("is_returned").then(pl.lit("True")).otherwise(pl.lit("False")).alias("is_returned"),
        pl.col("order_date").dt.strftime("%Y-%m-%d %H:%M:%S"),
    )
    frame.with_row_index("").write_csv(folder / "orders.csv")
    return folder / "orders.csv"


STRANGERS: dict[str, Callable[[Path], Path]] = {
    each.__name__: each
    for each in (german, spanish, american, russian, awkward, classes, unlabelled, elapsed, from_pandas)
}
