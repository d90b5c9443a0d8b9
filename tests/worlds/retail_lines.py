"""Lines of a shop as the two editions of a public file spell them (UCI Online Retail, and Online Retail II)."""

from __future__ import annotations

from pathlib import Path

import polars as pl

FIRST_EDITION = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
SECOND_EDITION = ("Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country")
EDITIONS = (FIRST_EDITION, SECOND_EDITION)


def publish(lines: pl.DataFrame, path: Path, edition: tuple[str, ...] = SECOND_EDITION) -> Path:
    """Write lines (columns of the first edition) as an edition has them: customers as doubles, and CSV files of the
    first with dates as Americans write them."""
    lines = lines.select(FIRST_EDITION).with_columns(pl.col("CustomerID").cast(pl.Float64))
    if path.suffix == ".csv":
        american = edition is FIRST_EDITION
        lines = lines.with_columns(
            pl.col("InvoiceDate").dt.strftime("%-m/%-d/%Y %-H:%M" if american else "%Y-%m-%d %H:%M:%S")
        )
    renamed = lines.rename(dict(zip(FIRST_EDITION, edition, strict=True)))
    renamed.write_csv(path) if path.suffix == ".csv" else renamed.write_parquet(path)
    return path
