"""Vectors in files: lists of numbers of Parquet and Delta, or their text in JSON (`[0.1, -2]`), as the text of a table.

Tables hold the JSON text, `[0.1,-2.0]`: dbt finds no columns of lists in the catalog of the embedded engine. What a
vector must hold is a contract of its column (`jobs.ingest.contracts`).
"""

import polars as pl

_WRITTEN = r"^\[[^\[\]]*\]$"
_AROUND = ' \t\r\n"'
"""What may stand around a number: JSON Lines hold those of a list as texts."""
_NO_NUMBER = "null|NaN|inf"


def is_list(dtype: pl.DataType) -> bool:
    """Whether values of a file are lists of numbers."""
    return isinstance(dtype, (pl.List, pl.Array)) and (dtype.inner.is_numeric() or dtype.inner == pl.Null)


def from_lists(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Lists of numbers as texts; an element that float32 does not hold is infinite."""
    return _text(value.arr.to_list() if isinstance(dtype, pl.Array) else value)


def from_text(text: pl.Expr) -> pl.Expr:
    """Lists of JSON in the one form that tables hold; null where a text is none, `null` for an element that is no
    number."""
    inside = text.str.strip_chars("[] ").replace("", None).str.split(",").fill_null([])
    numbers = inside.list.eval(pl.element().str.strip_chars(_AROUND).cast(pl.Float32, strict=False))
    return pl.when(text.str.contains(_WRITTEN)).then(_text(numbers))


def length(text: pl.Expr) -> pl.Expr:
    """Number of elements, of texts as tables hold them."""
    return pl.when(text == "[]").then(0).otherwise(text.str.count_matches(",") + 1)


def has_no_number(text: pl.Expr) -> pl.Expr:
    """Whether an element is NaN, infinite or missing, of texts as tables hold them."""
    return text.str.contains(_NO_NUMBER)


def _text(lists: pl.Expr) -> pl.Expr:
    elements = lists.cast(pl.List(pl.Float32), strict=False).cast(pl.List(pl.String))
    return pl.concat_str(pl.lit("["), elements.list.eval(pl.element().fill_null("null")).list.join(","), pl.lit("]"))
