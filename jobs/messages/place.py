"""The place of a message as text, `topic[partition]@offset`, as quarantine and dead letters name it."""

from __future__ import annotations

import re
from typing import NamedTuple

import polars as pl

from jobs.lakehouse.envelope import OFFSET, PARTITION, TOPIC

_TEXT = re.compile(r"(.+)\[(\d+)\]@(\d+)", re.DOTALL)
TEXT = pl.format("{}[{}]@{}", TOPIC, PARTITION, OFFSET)
"""The text, of rows that bear the envelope."""


class Place(NamedTuple):
    """Where a message is."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"

    @classmethod
    def parsed(cls, text: str) -> Place | None:
        """The place that a text names; None if it is that of something else, as of a file."""
        match = _TEXT.fullmatch(text)
        return None if match is None else cls(match[1], int(match[2]), int(match[3]))
