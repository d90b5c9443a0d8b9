"""Identifiers: the one form that each has, whatever file and type it comes in, and whether a column holds integers.

A whole number is the integer it is in every type that holds it exactly. Text is taken without blanks around it, in
Unicode's composed form (NFC), a UUID in lower case; text of a whole number (`42`, `42.0`) is that number, `042` is not.
"""

import polars as pl

from jobs.ingest.identifier_text import (
    BLANKS,
    EXACT_DOUBLES,
    NO_PLAIN_VALUE,
    NULL_WORDS,
    ROUNDED,
    UUID,
    WHOLE_WITH_FRACTION,
)
from jobs.ingest.readers import FOUND

_EXACT: dict[pl.DataType, int] = {pl.Float64(): EXACT_DOUBLES, pl.Float32(): 2**24, pl.Float16(): 2**11}
_WHOLE = r"^(?:0|-?[1-9][0-9]*)$"


def canonical_identifiers(values: pl.Series) -> pl.Series:
    """Identifiers as integers of 64 bits if all of them are, else as text; null where there is none.

    A number with a fraction, or of a size at which its type holds no exact integers, is no identifier.
    """
    dtype = values.dtype
    if dtype == pl.Null:
        return values.cast(pl.Int64)
    if dtype.is_float():
        return _kept(values, (values == values.round()) & (values.abs() < _EXACT[dtype])).cast(pl.Int64)
    if dtype.is_decimal():
        whole = values.cast(pl.Int128, strict=False)
        return _narrowed(_kept(whole, values == whole.cast(dtype, strict=False)))
    if dtype.is_integer():
        return _narrowed(values)
    return _from_text(values.cast(pl.String))


def _kept(values: pl.Series, condition: pl.Series) -> pl.Series:
    return values.to_frame("value").select(pl.when(condition).then("value")).to_series()


def _narrowed(integers: pl.Series) -> pl.Series:
    narrow = integers.cast(pl.Int64, strict=False)
    return narrow if narrow.null_count() == integers.null_count() else integers.cast(pl.String)


def _from_text(text: pl.Series) -> pl.Series:
    if (plain := as_integers(text)).null_count() == text.null_count():
        return plain
    text = canonical_text(text)
    plain = as_integers(text)
    return plain if plain.null_count() == text.null_count() else text


def canonical_text(text: pl.Series) -> pl.Series:
    """Identifiers in text in their one form; null for words that stand for none, and for rounded numbers."""
    text = text.str.strip_chars(BLANKS)
    if (text.str.len_bytes() != text.str.len_chars()).any():
        text = text.str.normalize("NFC")
    frame = pl.DataFrame({"text": text, "lower": text.str.to_lowercase(), "number": _whole_numbers(text)})
    one_form = (
        pl.when(
            pl.col("lower").is_in(list(NULL_WORDS))
            | pl.col("text").str.contains(ROUNDED)
            | pl.col("text").str.contains(NO_PLAIN_VALUE)
            | pl.col("text").str.contains("\0", literal=True)
        )
        .then(None)
        .when(pl.col("text").str.contains(WHOLE_WITH_FRACTION))
        .then("number")
        .when(pl.col("text").str.contains(UUID))
        .then("lower")
        .otherwise("text")
    )
    return frame.select(one_form).to_series()


def _whole_numbers(text: pl.Series) -> pl.Series:
    """The `42` of `42.0`: what a double prints, so null where a double is not exact."""
    whole = text.str.extract(WHOLE_WITH_FRACTION, 1)
    return _kept(whole, whole.cast(pl.Int64, strict=False).abs() < EXACT_DOUBLES)


def as_integers(identifiers: pl.Series) -> pl.Series:
    """Canonical identifiers as integers of 64 bits; null where one is other text, or longer."""
    if identifiers.dtype == pl.Int64:
        return identifiers
    return _kept(identifiers, identifiers.str.contains(_WHOLE)).cast(pl.Int64, strict=False)


def kind_of(identifiers: pl.Series, expected: str | None) -> str:
    """`integer` or `string`, for the canonical identifiers of good rows.

    Integers are what all of them are, or some of them where integers are `expected`.
    """
    if expected == "string":
        return "string"
    values = identifiers.drop_nulls()
    if values.is_empty() or values.dtype == pl.Int64:
        return "integer"
    integers = as_integers(values)
    return "integer" if integers.null_count() < (len(values) if expected == "integer" else 1) else "string"


def as_kind(identifiers: pl.Series, kind: str) -> pl.Series:
    """Canonical identifiers as the table holds them; null where an integer is expected and none is found."""
    return identifiers.cast(pl.String) if kind == "string" else as_integers(identifiers)


def identifier_fault(column: str) -> pl.Expr:
    """Why a value found of an identifier is none, in words; for rows where that is so."""
    text = pl.col(FOUND + column).cast(pl.String).str.strip_chars(BLANKS)
    return (
        pl.when(text.str.to_lowercase().is_in(list(NULL_WORDS)))
        .then(pl.lit(f"{column}: missing"))
        .when(text.str.contains("\0", literal=True))
        .then(pl.lit(f"{column}: no identifier (a NUL character in it, which no database holds)"))
        .when(text.str.contains(NO_PLAIN_VALUE))
        .then(pl.lit(f"{column}: no identifier (a boolean, a list or an object, write it as a number or as text)"))
        .when(text.str.contains(r"(?i)^-?[0-9.]+e[+-]?[0-9]+$|^-?[0-9]+\.0*$|^-?inf$"))
        .then(pl.lit(f"{column}: no identifier (a number too large to be exact, write it as an integer or as text)"))
        .when(text.str.contains(r"^-?[0-9]+\.[0-9]+$"))
        .then(pl.lit(f"{column}: no identifier (a number with a fraction)"))
        .when(text.str.contains(_WHOLE))
        .then(pl.lit(f"{column}: no identifier (longer than the integers of 64 bits that the table holds)"))
        .otherwise(pl.lit(f"{column}: no identifier (other text, and the table holds integers)"))
    )
