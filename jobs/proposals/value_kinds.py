"""Which kind the values of a column are, and what a columns file has to say so that a load reads them so.

Values are read by `jobs.ingest`, so that what is guessed here is what a load understands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from jobs.ingest.declared_formats import ValueFormat
from jobs.ingest.parsing import FALSE_WORDS, TRUE_WORDS, canonical
from jobs.ingest.readers import ZONED
from jobs.proposals.column_words import speaks_of
from jobs.proposals.time_guess import guess_epoch, guess_time
from jobs.proposals.words import ENTITY, IDENTIFIER
from jobs.use_case import Kind

NONE_WORDS = frozenset(
    ("na", "n/a", "#n/a", "null", "none", "nan", "nat", "-", "--", "?", "\\n", "nil", "missing", "<na>", "inf", ".")
)
_PAIRS = """yes/no y/n t/f ja/nein j/n oui/non o/n si/no sí/no s/n sim/não sim/nao да/нет tak/nie v/f wahr/falsch
vrai/faux verdadero/falso 是/否 on/off evet/hayir はい/いいえ истина/ложь si/non sì/no ano/ne"""
PAIRS = tuple(tuple(pair.split("/")) for pair in _PAIRS.split())
"""Words for yes and no."""
MOST_BAD = 0.05
"""A larger share of values that are none of a kind speaks against it."""
LOOKED_AT = 20_000
WHOLE = "integers with a decimal point"
LONG_TEXT, MANY_WORDS = 40, 4
_NUMBER = r"^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?$"
_COMMA = r"^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+)?,\d+$|^[+-]?\d{1,3}(?:\.\d{3})+$|^[+-]?\d+$"
_GROUPED = r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?$|^[+-]?\d+(?:\.\d*)?$"
_BLANKS = r"^[+-]?\d{1,3}(?:[ \x{a0}\x{202f}]\d{3})+(?:[.,]\d*)?$|^[+-]?\d+(?:[.,]\d*)?$"
_LEADING_ZERO = r"^0\d+$"


@dataclass(frozen=True)
class Guess:
    """A kind, and how its values are written where a load would not see that by itself."""

    kind: Kind | None
    """None: of a type that no column can be declared for."""
    written: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def form(self) -> ValueFormat:
        """The same for `jobs.ingest.parsing`."""
        said = {key: (value,) if isinstance(value, str) else tuple(value) for key, value in self.written.items()}
        return ValueFormat(
            times=said.get("format", ()), decimal=self.written.get("decimal", ""), null=said.get("null", ()),
            thousands=self.written.get("thousands", ""), true=said.get("true", ()), false=said.get("false", ()),
        )  # fmt: skip

    def read(self, values: pl.Series) -> pl.Series:
        """The values as a load would have them; null where there is none."""
        if self.kind is None:
            return values
        if values.dtype == pl.String and self.written.get("null"):
            absent = values.str.strip_chars().is_in(list(self.form().null))
            values = pl.select(pl.when(~absent).then(values)).to_series()
        if self.note == WHOLE:
            return values.str.strip_chars().cast(pl.Float64, strict=False).cast(pl.Int64, strict=False)
        kind: Kind = "string" if self.kind in ("identifier", "text") else self.kind
        frame = pl.DataFrame({"value": values})
        return frame.select(canonical("value", values.dtype, kind, self.form()).alias("value")).to_series()


def guess(name: str, values: pl.Series) -> Guess:
    """The kind of a column; `values` as `jobs.ingest.readers.read_file` has them."""
    dtype = values.dtype
    if dtype == pl.Null or values.null_count() == len(values):
        return Guess(None, note="no value in any row")
    if dtype == pl.Boolean:
        return Guess("boolean")
    if isinstance(dtype, (pl.Datetime, pl.Date)):
        return Guess("timestamp", note="dates without a time" if dtype == pl.Date else "")
    if dtype.is_numeric():
        return _of_numbers(name, values)
    if isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
        return _of_text(name, values.cast(pl.String))
    return Guess(None, note=f"{dtype}, of which no column can be made")


def _of_numbers(name: str, values: pl.Series) -> Guess:
    present = values.drop_nulls()
    if present.dtype.is_float():
        present = present.filter(present.is_finite())
    if present.is_empty():
        return Guess(None, note="no finite number in any row")
    if form := guess_epoch(name, present):
        return Guess("timestamp", {"format": form}, f"numbers in {form}")
    if present.dtype == pl.UInt64 and (present >= 2**63).any():
        return Guess("string", note="integers of more than 63 bits")
    whole = not present.dtype.is_float() or bool((present == present.round()).all())
    if whole and set(present.unique().head(3).to_list()) == {0, 1}:
        return Guess("boolean")
    bad = values.dtype.is_float() and not values.drop_nulls().is_finite().all()
    return Guess("integer" if whole else "number", {"null": ["NaN", "inf", "-inf"]} if bad else {})


def _of_text(name: str, values: pl.Series) -> Guess:
    text = values.drop_nulls().str.strip_chars()
    is_none = text.str.to_lowercase().is_in(list(NONE_WORDS))
    none = text.filter(is_none).unique().sort().to_list()
    text = text.filter(~is_none & (text != ""))
    different = text.unique(maintain_order=True)
    if text.is_empty():
        return Guess(None, note="no value in any row")
    sample = text.gather_every(-(-len(text) // LOOKED_AT))
    for attempt in (_boolean, _time, _number):
        if (found := attempt(name, sample)) is not None:
            return Guess(found.kind, dict(found.written) | _none_words(found, none, different), found.note)
    frame = pl.DataFrame({"text": text})
    letters, blanks = frame.select(
        pl.col("text").str.len_chars().mean(), pl.col("text").str.count_matches(r"\s").mean().alias("blanks")
    ).row(0)
    is_text = letters > LONG_TEXT or blanks >= MANY_WORDS
    return Guess("text" if is_text and len(different) > len(text) / 20 else "string", {"null": none} if none else {})


def _none_words(found: Guess, none: Sequence[str], different: pl.Series) -> dict[str, list[str]]:
    """Words that stand for no value: known ones, and those few that are none of the kind."""
    bad = different.filter(found.read(different).is_null()).head(21).to_list()
    words = [*none, *(bad if len(bad) <= 20 and found.kind != "timestamp" else [])]
    return {"null": words} if words else {}


def _boolean(name: str, text: pl.Series) -> Guess | None:
    words = set(text.str.to_lowercase().unique().head(5).to_list())
    if len(words) == 2 and words <= {*TRUE_WORDS, *FALSE_WORDS} and len(words & {*TRUE_WORDS}) == 1:
        return Guess("boolean")
    pair = next(((true, false) for true, false in PAIRS if words == {true, false}), None)
    return None if pair is None else Guess("boolean", {"true": [pair[0]], "false": [pair[1]]})


def _time(name: str, text: pl.Series) -> Guess | None:
    found = guess_time(text, MOST_BAD) or guess_epoch(name, text)
    if found is None:
        return None
    formats, note = found if isinstance(found, tuple) else (found, f"numbers in {found}")
    zoned = text.str.contains(ZONED)
    zone = {"timezone": "UTC"} if not formats and zoned.any() and not zoned.all() else {}
    return Guess("timestamp", {"format": formats} if formats else zone, note)


def _number(name: str, text: pl.Series) -> Guess | None:
    if text.str.contains(_LEADING_ZERO).mean() > MOST_BAD:  # type: ignore[operator]
        return None
    for pattern, marks in (
        (_NUMBER, {}),
        (_COMMA, {"decimal": ",", "thousands": "."}),
        (_GROUPED, {"decimal": ".", "thousands": ","}),
        (_BLANKS, {"decimal": "," if text.str.contains(r",\d+$").any() else ".", "thousands": " "}),
    ):
        fits = text.filter(text.str.contains(pattern))
        if len(fits) >= (1 - MOST_BAD) * len(text):
            return _numbers_as(name, fits, marks)
    return None


def _numbers_as(name: str, text: pl.Series, marks: Mapping[str, str]) -> Guess:
    """Numbers that are written with these marks: integers where all are."""
    if marks.get("decimal") == "," and not text.str.contains(r"\.\d{3}").any():
        marks = {"decimal": ","}
    if not marks and text.str.contains(r"^[+-]?[1-9]\d{0,2}\.\d{3}$").any():
        marks = {"decimal": "."}  # a load refuses what can be read in two ways
    if text.str.contains(r"^[+-]?\d{1,18}$").all():
        return Guess("integer")
    if speaks_of(name, (*IDENTIFIER, *ENTITY)) and text.str.contains(r"^\d{1,15}\.0*$").all():
        return Guess("integer", note=WHOLE)  # as pandas writes integers beside a missing one
    return Guess("number", marks)
