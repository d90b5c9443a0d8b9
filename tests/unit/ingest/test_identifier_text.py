"""One identifier as a client sends it has the form that a column of a file would give it."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.ingest.identifier_text import BLANKS, NULL_WORDS, canonical_identifier
from jobs.ingest.identifiers import canonical_text

pytestmark = pytest.mark.embedded
# Texts that are near the rules: words for none, numbers, lists, and letters that Unicode writes in several ways.
PARTS = st.sampled_from(
    [*NULL_WORDS, *BLANKS, "A1", "42", "042", "-7", ".0", ".00", "9007199254740993", "1.23457E+15", "[", "]", "{",
     '["a"]', '{"a": 1}', "TRUE", "\0", "\n", "e\u0301", "\u00e9", "\u212a", "\u0663",
     "0e4FBA12-0000-4000-8000-00000000000A"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(PARTS, max_size=4).map("".join)))
@with_examples(300)
def test_it_is_that_of_a_column(text: str) -> None:
    assert canonical_identifier(text) == canonical_text(pl.Series([text])).item()


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u00a0", "\u200b", "null", "N/A", "true", "[]", "a\0b", "1E+15"])
def test_what_stands_for_none_is_none(text: str) -> None:
    assert canonical_identifier(text) is None


@pytest.mark.parametrize("text", [" A1\u00a0", "A1", "A1\n"])
def test_blanks_around_it_are_no_part_of_it(text: str) -> None:
    assert canonical_identifier(text) == "A1"
