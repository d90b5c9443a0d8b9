"""The document says of an identifier what the service takes, so that a client can look before it asks."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from worlds.examples import with_examples

from jobs.ingest.identifier_text import canonical_identifier
from serving.description.columns import DescribedColumn, schema_of

SCHEMA = schema_of(DescribedColumn("line_id", "identifier", "A line.", required=True))
NAMES, NOTHING = re.compile(SCHEMA["pattern"]), re.compile(SCHEMA["not"]["pattern"])
PARTS = (
    *("null", "N/A", "nan", "\\N", "#n/a", "<na>", "True", "false", "[]", "[1]", '["a"]', "{}", '{"a":1}', "{a}"),
    *("\0", "\x85", " ", "\ufeff", "1e+5", "1.5E+10", "12.0", "00.0", "-12345678901234567.00", "a", "é", "-"),
)


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("".join) | st.text(min_size=1, max_size=8))
@with_examples(300)
def test_what_the_schema_takes_is_what_the_service_takes(text: str) -> None:
    is_valid = bool(NAMES.search(text)) and not NOTHING.search(text)
    assert is_valid == (canonical_identifier(text) is not None)
